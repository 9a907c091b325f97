"""What a look at a domain found."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a finding means for the mails of the domain."""

    WELL = "well"
    BETTER = "better"  # mails arrive, and it could be better
    MEND = "mend"  # mails are refused or called spam for it, or anyone can send in the domain's name


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing, in a sentence that says what to do where it is not well."""

    about: str  # SPF, DKIM, DMARC, MX, PTR
    verdict: Verdict
    sentence: str
