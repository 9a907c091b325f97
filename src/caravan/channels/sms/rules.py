"""What a gateway's answer means for the contact. The rules are data: http.yaml, twilio.yaml and a gateway's file."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

from caravan.channels.http_calls import Answer
from caravan.channels.sms.returned import Fate
from caravan.channels.webhook import retry_after
from caravan.delivery.result import Result, SendResult
from caravan.store.suppressions import Reason


class Meaning(StrEnum):
    """What is made of an answer, in the words of the data files."""

    SENT = "sent"
    RETRY = "retry"  # certainly not sent; it may go better later
    SLOW_DOWN = "slow_down"  # the same, and whoever sends is to wait
    HOLD = "hold"  # the account is in trouble, not the contact: everybody waits
    FAIL = "fail"
    UNSUPPORTED = "unsupported"  # the number gets no text messages
    SUPPRESS = "suppress"  # there is no such number
    STOPPED = "stopped"  # its owner does not want messages
    UNKNOWN = "unknown"  # it may have been sent


_RESULTS: Final = {
    Meaning.SENT: Result.SENT,
    Meaning.RETRY: Result.RETRY,
    Meaning.SLOW_DOWN: Result.RETRY,
    Meaning.HOLD: Result.UNREACHABLE,
    Meaning.FAIL: Result.FAILED,
    Meaning.UNSUPPORTED: Result.UNSUPPORTED,
    Meaning.SUPPRESS: Result.FAILED,
    Meaning.STOPPED: Result.FAILED,
    Meaning.UNKNOWN: Result.UNKNOWN,
}
_REASONS: Final = {
    Meaning.UNSUPPORTED: Reason.HARD_BOUNCE,
    Meaning.SUPPRESS: Reason.HARD_BOUNCE,
    Meaning.STOPPED: Reason.STOP,
}
_FATES: Final = {
    Meaning.SUPPRESS: Fate.DEAD,
    Meaning.UNSUPPORTED: Fate.DEAD,
    Meaning.STOPPED: Fate.STOPPED,
}
_BUSY: Final = (Meaning.RETRY, Meaning.SLOW_DOWN)


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of a data file: HTTP statuses (`x` for any digit) and the gateway's own codes; none: any."""

    meaning: Meaning
    status: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()

    def fits(self, status: int, code: str) -> bool:
        """Whether it speaks about this answer."""
        by_status = not self.status or any(re.fullmatch(each.replace("x", r"\d"), str(status)) for each in self.status)
        return by_status and (not self.codes or code in self.codes)


def meaning_of(rules: Iterable[Rule], status: int, code: str) -> Meaning:
    """What an answer means by these rules, else by http.yaml."""
    for rule in (*rules, *load_rules("http.yaml")):
        if rule.fits(status, code):
            return rule.meaning
    return Meaning.FAIL


def result_of(found: Meaning, detail: str, answer: Answer, now: datetime) -> SendResult:
    """What a sender makes of it."""
    wait = retry_after(answer.headers.get("Retry-After", ""), now) if found in _BUSY else None
    busy = found is Meaning.SLOW_DOWN and wait is not None
    return SendResult(_RESULTS[found], detail, wait, busy=busy, suppress=_REASONS.get(found))


def fate_of(rules: Iterable[Rule], code: str) -> Fate:
    """What the code of a failed message says about its number."""
    found = next((rule.meaning for rule in rules if rule.codes and code in rule.codes), None)
    return _FATES.get(found, Fate.UNDELIVERED) if found is not None else Fate.UNDELIVERED


@cache
def load_rules(name: str) -> Sequence[Rule]:
    """The rules of a file of this folder, in their order."""
    text = files("caravan.channels.sms").joinpath(name).read_text("utf-8")
    return tuple(rule_of(each) for each in yaml.safe_load(text))


def rule_of(line: dict[str, Any]) -> Rule:
    """A rule as YAML has it. Raises ValueError."""
    return Rule(
        Meaning(line["result"]),
        tuple(map(str, line.get("status", ()))),
        frozenset(map(str, line.get("codes", ()))),
    )
