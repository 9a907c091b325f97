"""What an SMTP reply means: for the contact, and for whoever sends to that place. The rules are data: replies.yaml."""

import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from caravan.channels.reply import Reply, Stage, again_in, one_line
from caravan.channels.rule_files import RuleFile
from caravan.delivery.result import Result, SendResult
from caravan.delivery.signal import Act, Heard, Signal
from caravan.journeys.document import Node, Scalar
from caravan.store.suppressions import Reason

__all__ = ["Reply", "Rules", "Stage", "again_in", "classify", "one_line", "read_rules", "shipped"]

_MEMBERS: Final = ("stage", "code", "enhanced", "text", "provider", "result", "suppress", "slow", "stop")
_SLOW: Final = ("rate", "connections", "for", "after", "what")
_STOP: Final = ("for", "after", "what")
_CODE: Final = re.compile(r"[0-9x]{3}")
_ENHANCED: Final = re.compile(r"[245]\.(?:\d{1,3}|x|\[\d+\])\.(?:\d{1,3}|x|\[\d+\])")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of replies.yaml, or of the operator's file."""

    result: Result
    stage: Stage | None
    code: re.Pattern[str]
    enhanced: re.Pattern[str] | None
    text: re.Pattern[str] | None = None
    provider: str | None = None
    suppress: bool = False
    signal: Signal | None = None

    def fits(self, stage: Stage, code: str, enhanced: str, provider: str | None) -> bool:
        """Whether it speaks about this reply, as far as the text does not matter."""
        return (
            self.stage in (None, stage)
            and self.provider in (None, provider)
            and self.code.fullmatch(code) is not None
            and (self.enhanced is None or self.enhanced.fullmatch(enhanced) is not None)
        )


class Rules:
    """Rules in their order; the first that fits counts."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        #: The rules that may decide on such a reply: those that want a text, and at last one that does not.
        self.fitting = lru_cache(maxsize=1024)(self._find)

    def classify(self, stage: Stage, reply: Reply, provider: str | None = None) -> SendResult:
        """What `reply`, given at `stage`, means for the contact whose mail, to that provider, was spoken of."""
        fitting = self.fitting(stage, f"{reply.code:03d}", reply.enhanced, provider)
        rule = next(each for each in fitting if each.text is None or each.text.search(reply.text))
        wait = again_in(reply.text) if rule.result in (Result.RETRY, Result.UNREACHABLE) else None
        heard = None if rule.signal is None else Heard("", provider, rule.signal)
        suppress = Reason.HARD_BOUNCE if rule.suppress else None
        return SendResult(rule.result, str(reply), wait, suppress=suppress, heard=heard)

    def _find(self, stage: Stage, code: str, enhanced: str, provider: str | None) -> tuple[Rule, ...]:
        """Those that fit but for their text, up to the first that wants none."""
        found = list[Rule]()
        for rule in self.rules:
            if rule.fits(stage, code, enhanced, provider):
                found.append(rule)
                if rule.text is None:
                    break
        return tuple(found)


def classify(stage: Stage, reply: Reply) -> SendResult:
    """What a reply means by our rules."""
    return shipped().classify(stage, reply)


@cache
def shipped() -> Rules:
    """The rules of replies.yaml."""
    text = files("caravan.channels").joinpath("replies.yaml").read_text("utf-8")
    return Rules(_read(RuleFile("replies.yaml", text)))


def read_rules(own: Path | None) -> Rules:
    """The operator's rules before ours. Raises `InvalidSetting`, with each problem by its line."""
    return shipped() if own is None else Rules((*_read(RuleFile.at(own)), *shipped().rules))


def _read(file: RuleFile) -> tuple[Rule, ...]:
    found = [_rule(file, node) for node in file.items(file.root, "the file")]
    file.close()
    return tuple(each for each in found if each is not None)


def _rule(file: RuleFile, node: Node) -> Rule | None:
    members = file.members(node, "a rule", _MEMBERS)
    texts = {name: file.text(each, name) or "" for name, each in members.items() if name not in ("slow", "stop")}
    if "code" not in texts or not _CODE.fullmatch(texts["code"]):
        file.wrong(node.line, "code should be three digits, x for any digit")
        return None
    rule = Rule(
        result=_result(file, members, texts.get("result", "")),
        stage=_stage(file, members, texts.get("stage")),
        code=re.compile(texts["code"].replace("x", r"\d")),
        enhanced=_enhanced(file, members, texts.get("enhanced")),
        text=_pattern(file, members, texts.get("text")),
        provider=texts.get("provider"),
        suppress=texts.get("suppress") == "true",
    )
    if rule.suppress and rule.result is not Result.FAILED:
        file.wrong(node.line, "suppress goes with result: failed")
    if "slow" in members and "stop" in members:
        file.wrong(node.line, "a rule has slow or stop, not both")
    signal = _slow(file, members["slow"]) if "slow" in members else None
    if "stop" in members:
        signal = _stop(file, members["stop"])
    return rule if signal is None else replace(rule, signal=signal)


def _result(file: RuleFile, members: dict[str, Node], text: str) -> Result:
    if text in list(Result):
        return Result(text)
    line = members["result"].line if "result" in members else members["code"].line
    file.wrong(line, f"result should be one of {', '.join(Result)}")
    return Result.RETRY


def _stage(file: RuleFile, members: dict[str, Node], text: str | None) -> Stage | None:
    if text is None or text in list(Stage):
        return None if text is None else Stage(text)
    file.wrong(members["stage"].line, f"stage should be one of {', '.join(Stage)}")
    return None


def _enhanced(file: RuleFile, members: dict[str, Node], text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    if not _ENHANCED.fullmatch(text):
        file.wrong(members["enhanced"].line, "enhanced should be like 5.7.1, with x for any number")
        return None
    return re.compile(text.replace(".", r"\.").replace("x", r"\d+"))


def _pattern(file: RuleFile, members: dict[str, Node], text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text, re.IGNORECASE)
    except re.error as error:
        file.wrong(members["text"].line, f"text is no regular expression: {error}")
        return None


def _slow(file: RuleFile, node: Node) -> Signal | None:
    members = file.members(node, "slow", _SLOW)
    rate = file.rate(members["rate"], "slow.rate") if "rate" in members else None
    connections = file.number(members["connections"], "slow.connections") if "connections" in members else None
    if not {"rate", "connections"} & set(members):
        file.wrong(node.line, "slow needs a rate or connections, or both")
    signal = _signal(file, node, Act.SLOW, members)
    return signal and replace(signal, rate=rate, connections=connections)


def _stop(file: RuleFile, node: Node) -> Signal | None:
    return _signal(file, node, Act.STOP, file.members(node, "stop", _STOP))


def _signal(file: RuleFile, node: Node, act: Act, members: dict[str, Node]) -> Signal | None:
    if "for" not in members:
        file.wrong(node.line, f"{act} needs for: how long, like 90m")
        return None
    seconds = file.seconds(members["for"], f"{act}.for")
    after = file.number(members["after"], f"{act}.after") if "after" in members else 1
    what = members.get("what")
    if what is not None and not (isinstance(what, Scalar) and what.text in ("provider", "relay")):
        file.wrong(what.line, f"{act}.what should be provider or relay")
    whole = isinstance(what, Scalar) and what.text == "relay"
    return Signal(act, f"{file.name}:{node.line}", seconds or 0.0, after or 1, whole)
