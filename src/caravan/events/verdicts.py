"""Whether somebody opened a message or followed a link, or a machine did: mail filters follow every link, and mail
programs fetch images that nobody looks at. Nothing may depend on an open alone; this says how little it is worth.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final

import yaml

from caravan.store.hits import Hit

SEEN_TOGETHER: Final = timedelta(seconds=1)  # in which a machine follows several links
LOOKED_BEFORE: Final = timedelta(minutes=10)  # in which a HEAD says that the same one only looks
_TOO_SOON: Final = timedelta(seconds=10)  # after a message was written: nobody reads it so fast
_MANY: Final = 3  # links
_BROWSERS: Final = ("mozilla/5.0 (", "mozilla/4.0 (", "opera/")


class Verdict(StrEnum):
    """Who it was, as far as can be known."""

    HUMAN = "human"
    MACHINE = "machine"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and what it rests on, for people."""

    verdict: Verdict
    because: str


@dataclass(frozen=True, slots=True)
class _Rule:
    verdict: Verdict
    because: str
    agent: str | None
    whole: str | None
    event: str | None

    def fits(self, agent: str, event: str) -> bool:
        if self.event is not None and self.event != event:
            return False
        return agent == self.whole if self.agent is None else self.agent in agent


def judge(hit: Hit, others: Iterable[Hit]) -> Judgement:
    """The verdict on a hit, given those of the same delivery around it; itself may be among them."""
    if hit.method == "HEAD":
        return Judgement(Verdict.MACHINE, "it only asked whether the address exists (HEAD)")
    if hit.prefetch:
        return Judgement(Verdict.MACHINE, "it said that it fetches ahead (prefetch)")
    agent = hit.agent.strip().lower()
    named = next((rule for rule in _rules() if rule.fits(agent, hit.event)), None)
    if named is not None and named.verdict is Verdict.MACHINE:
        return Judgement(named.verdict, named.because)
    around = [each for each in others if each.delivery == hit.delivery]
    if any(each.method == "HEAD" and timedelta(0) <= hit.at - each.at <= LOOKED_BEFORE for each in around):
        return Judgement(Verdict.MACHINE, "a HEAD came before it")
    links = {each.link for each in around if each.link is not None and abs(each.at - hit.at) <= SEEN_TOGETHER}
    if hit.link is not None and len(links) >= _MANY:
        return Judgement(Verdict.MACHINE, f"{len(links)} links were followed within a second")
    if hit.written_at is not None and hit.at - hit.written_at <= _TOO_SOON:
        seconds = max(0, round((hit.at - hit.written_at).total_seconds()))
        return Judgement(Verdict.MACHINE, f"it came {seconds} seconds after the message was written")
    if named is not None:
        return Judgement(named.verdict, named.because)
    if agent.startswith(_BROWSERS):
        return Judgement(Verdict.HUMAN, "a browser or mail program, and nothing speaks against it")
    return Judgement(Verdict.UNKNOWN, "a User-Agent that is not known")


@cache
def _rules() -> tuple[_Rule, ...]:
    data = yaml.safe_load((files("caravan.events") / "verdicts.yaml").read_text(encoding="utf-8"))
    return tuple(
        _Rule(
            Verdict(each["verdict"]),
            each["because"],
            each["agent"].lower() if "agent" in each else None,
            each["whole"].lower() if "whole" in each else None,
            each.get("event"),
        )
        for each in data
    )
