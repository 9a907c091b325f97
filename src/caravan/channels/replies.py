"""What an SMTP reply means for the contact. The rules are data: replies.yaml."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

import yaml

from caravan.delivery.result import Result, SendResult, asked_wait

_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ENHANCED: Final = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |\Z)")
_AGAIN: Final = re.compile(
    r"\b(?:in|for|after)\s+(?:(?P<clock>\d{1,2}:\d\d:\d\d)|(?P<number>\d{1,6})\s*(?P<unit>[smh])"
    r"(?:ecs?|econds?|ins?|inutes?|ours?|rs?)?\b)",
    re.IGNORECASE,
)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_LONGEST_DETAIL: Final = 300


class Stage(StrEnum):
    """How far the conversation about a mail had come when the reply was given."""

    CONNECT = "connect"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of an SMTP server (RFC 5321 §4.2); the lines of its text joined with spaces."""

    code: int  # 0 when it was not a reply at all
    text: str

    @property
    def enhanced(self) -> str:
        """The enhanced status code at the start of the text (RFC 2034), or nothing."""
        found = _ENHANCED.match(self.text)
        return found[1] if found else ""

    def __str__(self) -> str:
        return one_line(f"{self.code:03d} {self.text}")


def one_line(text: str, longest: int = _LONGEST_DETAIL) -> str:
    """`text` of the other side as it may stand in a journal: without control characters and not long."""
    if not text.isprintable():
        text = _CONTROLS.sub(" ", text)
    return text[:longest].strip()


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of replies.yaml."""

    result: Result
    stage: Stage | None
    code: re.Pattern[str]
    enhanced: re.Pattern[str] | None

    def fits(self, stage: Stage, code: str, enhanced: str) -> bool:
        """Whether it speaks about this reply."""
        return (
            self.stage in (None, stage)
            and self.code.fullmatch(code) is not None
            and (self.enhanced is None or self.enhanced.fullmatch(enhanced) is not None)
        )


@cache
def rules() -> tuple[Rule, ...]:
    """The rules of replies.yaml, in their order."""
    text = files("caravan.channels").joinpath("replies.yaml").read_text("utf-8")
    return tuple(_rule({key: str(value) for key, value in each.items()}) for each in yaml.safe_load(text))


def _rule(line: dict[str, str]) -> Rule:
    stage, enhanced = line.get("stage"), line.get("enhanced")
    return Rule(
        result=Result(line["result"]),
        stage=Stage(stage) if stage else None,
        code=re.compile(line["code"].replace("x", r"\d")),
        enhanced=re.compile(enhanced.replace(".", r"\.").replace("x", r"\d+")) if enhanced else None,
    )


def classify(stage: Stage, reply: Reply) -> SendResult:
    """What `reply`, given at `stage`, means for the contact whose mail was spoken of."""
    result = _meaning(stage, f"{reply.code:03d}", reply.enhanced)
    wait = again_in(reply.text) if result in (Result.RETRY, Result.UNREACHABLE) else None
    return SendResult(result, str(reply), wait)


@lru_cache(maxsize=1024)
def _meaning(stage: Stage, code: str, enhanced: str) -> Result:
    return next(rule.result for rule in rules() if rule.fits(stage, code, enhanced))


def again_in(text: str) -> float | None:
    """The seconds after which `text` invites to try again ("Greylisted for 5 minutes", "in 00:04:59"), as `asked_wait`
    bounds them."""
    found = _AGAIN.search(text)
    if not found:
        return None
    if found["clock"]:
        hours, minutes, seconds = map(int, found["clock"].split(":"))
        return asked_wait(hours * 3600 + minutes * 60 + seconds)
    return asked_wait(int(found["number"]) * _SECONDS[found["unit"].lower()])
