"""What a mail to many says of its list: how to leave it (RFC 2369, RFC 8058), what it is called (RFC 2919), and by what
Gmail counts complaints about it (`Feedback-ID`).

Each header is one line, however long, and never encoded: mail programs take a folded or encoded `List-Unsubscribe` for
none.
"""

import re
from functools import lru_cache
from hashlib import sha256
from typing import Final

from caravan.store.cohorts import Cohort

_UNSAFE: Final = re.compile(r"[^\x21-\x7e]|[<>]")  # would end the URL, or the line that it stands in
_LONGEST_LINE: Final = 998  # octets, RFC 5322 §2.1.1
_LABEL: Final = re.compile(r"[a-z0-9]+")
_LONGEST_LABEL: Final = 40  # characters; List-Id has 255 in all
_SENDER: Final = "caravan"  # 5 to 15 characters; DKIM says whose Caravan it is
_WHOLE: Final = "mail"  # the list of everything that a customer sends


def list_headers(unsubscribe_url: str | None, topic: str | None, customer: int, domain: str) -> bytes:
    """The headers of a mail about `topic` (None: none of its own) from an address at `domain`, with their line ends.
    Without a URL that can stand there, the list's name alone."""
    headers = f"List-Id: <{list_label(topic)}.c{customer}.{domain}>\r\n"
    if unsubscribe_url is not None and not _UNSAFE.search(unsubscribe_url):
        line = f"List-Unsubscribe: <{unsubscribe_url}>\r\n"
        if len(line) <= _LONGEST_LINE:
            headers = f"{line}List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n{headers}"
    return headers.encode("ascii")


def feedback_id(cohort: Cohort) -> bytes:
    """The header of Gmail's feedback loop (support.google.com/mail/answer/6254652), with its line end: three
    identifiers, the narrowest first, none of which is one recipient's, and the sender's, which is always the same."""
    return _feedback_id(cohort.batch, cohort.journey, cohort.step, cohort.customer)


@lru_cache(maxsize=256)
def _feedback_id(batch: str, journey: int, step: str, customer: int) -> bytes:
    return f"Feedback-ID: {batch}:j{journey}-{step}:c{customer}:{_SENDER}\r\n".encode("ascii")


def list_label(topic: str | None) -> str:
    """A topic as a label of a list's name: letters, digits and hyphens."""
    if topic is None:
        return _WHOLE
    plain = "-".join(_LABEL.findall(topic.lower()))[:_LONGEST_LABEL].strip("-")
    # Others than these letters are told by their octets, so that two topics have two names.
    rest = "" if topic.lower().replace(" ", "-") == plain else "-" + _digest(topic)
    return (plain + rest).strip("-")


def _digest(topic: str) -> str:
    return sha256(topic.encode()).hexdigest()[:8]
