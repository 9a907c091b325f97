"""Whether a bounce means that the address is bad for good. The rules are data: replies.yaml, at `bounce`."""

import re
from typing import Final

from caravan.channels.replies import Reply, Stage, classify, one_line
from caravan.delivery.result import Result

_CODES: Final = re.compile(r"(?<![\d.])([245]\d\d)(?:[ -]|\Z)")
_ENHANCED: Final = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_LONGEST: Final = 2_000  # characters that are looked at


def codes_in(text: str) -> tuple[str, str]:
    """The first reply code and enhanced code in a text, each empty where there is none: ("550", "5.1.1")."""
    text = text[:_LONGEST]
    code, enhanced = _CODES.search(text), _ENHANCED.search(text)
    return code[1] if code else "", enhanced[1] if enhanced else ""


def judge(text: str, status: str = "") -> tuple[bool, str]:
    """Whether the address is bad for good, and the codes that this rests on, by what the other side said and by the
    status that a report names ("5.1.1", or nothing)."""
    code, enhanced = codes_in(text)
    named = _ENHANCED.fullmatch(status.strip()[:20])
    # A report's own status is often only the class, x.0.0, where the text says more.
    if named is not None and (not enhanced or not named[1].endswith(".0.0")):
        enhanced = named[1]
    if not code and enhanced:
        code = f"{enhanced[0]}50"
    if not code:
        return False, ""
    said = one_line(" ".join(part for part in (enhanced, _without_codes(text, code, enhanced)) if part), _LONGEST)
    verdict = classify(Stage.BOUNCE, Reply(int(code), said))
    return verdict.result is Result.FAILED, f"{code} {enhanced}".strip()


def _without_codes(text: str, code: str, enhanced: str) -> str:
    return text[:_LONGEST].replace(enhanced, "", 1).replace(code, "", 1) if enhanced else text[:_LONGEST]
