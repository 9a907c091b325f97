"""What differs between two versions of a journey: a sentence for each step that does, with the old and the new text."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

from caravan.journeys.model import Journey, Step

_AROUND = 2  # lines that stay the same and are told before and after those that change


class Kind(StrEnum):
    """What became of something."""

    NEW = "new"
    GONE = "gone"
    CHANGED = "changed"


class Sign(StrEnum):
    """What became of a line."""

    OLD = "old"
    NEW = "new"
    SAME = "same"
    LEFT_OUT = "left_out"  # one or more that stay the same


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text that changed."""

    sign: Sign
    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a step that changed, like `subject`, with its lines."""

    name: str
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a step; of the journey itself where `step` is None."""

    kind: Kind
    step: str | None
    sentence: str
    fields: list[Field] = field(default_factory=list)


def differences(old: Journey, new: Journey) -> list[Change]:
    """All that differs, in the order of the new version's steps; what is gone comes last. Nothing if they are equal."""
    before, after = {step.id: step for step in old.steps}, {step.id: step for step in new.steps}
    called = _renamed(before, after)
    found = list(_journey(old, new, called))
    for step in new.steps:
        if step.id in before:
            found += _step(before[step.id], step, called)
        elif step.id in called.values():
            (was,) = (id for id, now in called.items() if now == step.id)
            found.append(Change(Kind.CHANGED, step.id, f"Step {was} is now called {step.id}."))
        else:
            sentence = f"Step {step.id} is new: {_what(step)}."
            found.append(Change(Kind.NEW, step.id, sentence, list(_fields({}, _content(step)))))
    gone = [step for step in old.steps if step.id not in after and step.id not in called]
    return found + [Change(Kind.GONE, step.id, f"Step {step.id} is gone: {_what(step)}.") for step in gone]


def _renamed(before: dict[str, Step], after: dict[str, Step]) -> dict[str, str]:
    """Steps that have another id and are the same otherwise: {old: new}."""
    new = {id: _bare(step) for id, step in after.items() if id not in before}
    called: dict[str, str] = {}
    for id, step in before.items():
        bare = _bare(step)
        same = [now for now, other in new.items() if other == bare and now not in called.values()]
        if id not in after and same:
            called[id] = same[0]
    return called


def _bare(step: Step) -> dict[str, Any]:
    return {key: value for key, value in step.as_dict().items() if key != "id"}


def _journey(old: Journey, new: Journey, called: dict[str, str]) -> Iterator[Change]:
    if old.name != new.name:
        yield Change(Kind.CHANGED, None, f"The journey is called “{new.name}” instead of “{old.name}”.")
    if called.get(old.entry.id, old.entry.id) != new.entry.id:
        yield Change(Kind.CHANGED, None, f"Contacts enter at {new.entry.id} instead of {old.entry.id}.")
    before, after = old.rules_as_dict(), new.rules_as_dict()
    fields = list(_fields(*({name: _text(value) for name, value in each.items()} for each in (before, after))))
    if fields:
        names = [each.name for each in fields]
        sentence = f"{_joined(names)} of the journey {'changes' if len(names) == 1 else 'change'}."
        yield Change(Kind.CHANGED, None, sentence[0].upper() + sentence[1:], fields)


def _step(old: Step, new: Step, called: dict[str, str]) -> Iterator[Change]:
    fields = list(_fields(_content(old), _content(new)))
    sentences = []
    if old.kind != new.kind:
        sentences.append(f"Step {new.id} is {_what(new)} instead of {_what(old)}.")
    elif fields:
        names = [each.name for each in fields]
        whole = names == [new.sole and new.kind]
        told = f"{new.kind} {new.id}" if whole else f"{_joined(names)} of {new.kind} {new.id}"
        sentences.append(f"{told[0].upper()}{told[1:]} {'changes' if len(names) == 1 else 'change'}.")
    if called.get(old.next or "", old.next) != new.next:
        sentences.append(_onward(old, new))
    if sentences:
        yield Change(Kind.CHANGED, new.id, " ".join(sentences), fields)


def _onward(old: Step, new: Step) -> str:
    if new.next is None:
        return f"After {new.id} nobody goes to {old.next} any more."
    instead = f"instead of {old.next}" if old.next else "instead of to the end"
    return f"After {new.id} contacts go to {new.next} {instead}."


def _what(step: Step) -> str:
    article = "an" if step.kind[0] in "aeiou" else "a"
    return f"{article} {step.kind.replace('_', ' ')}" + (f" ({step.summary})" if step.summary else "")


def _joined(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _content(step: Step) -> dict[str, str]:
    """The fields of a step as texts, but for its id and what comes next."""
    body = step.as_dict()[step.kind]
    return {key: _text(value) for key, value in body.items()} if isinstance(body, dict) else {step.kind: _text(body)}


def _text(value: Any) -> str:
    """A value as it reads best: each branch of a list on a line of its own."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return "\n".join(", ".join(f"{key}: {_text(item)}" for key, item in each.items()) for each in value)
    return json.dumps(value, indent=2, ensure_ascii=False)


def _fields(old: dict[str, str], new: dict[str, str]) -> Iterator[Field]:
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        if before != after:
            yield Field(name, list(_lines((before or "").splitlines(), (after or "").splitlines())))


def _lines(old: list[str], new: list[str]) -> Iterator[Line]:
    for group in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        tag, first, last, start, end = group
        if tag != "equal":
            yield from (Line(Sign.OLD, each) for each in old[first:last])
            yield from (Line(Sign.NEW, each) for each in new[start:end])
        else:
            yield from _same(old[first:last], at_start=first == 0, at_end=last == len(old) and end == len(new))


def _same(lines: list[str], *, at_start: bool, at_end: bool) -> Iterator[Line]:
    """Lines that stay: only some around those that change."""
    head, tail = 0 if at_start else _AROUND, 0 if at_end else _AROUND
    left_out = len(lines) - head - tail
    if left_out <= 1:
        yield from (Line(Sign.SAME, each) for each in lines)
        return
    yield from (Line(Sign.SAME, each) for each in lines[:head])
    yield Line(Sign.LEFT_OUT, f"{left_out} lines stay the same")
    yield from (Line(Sign.SAME, each) for each in lines[len(lines) - tail :])
