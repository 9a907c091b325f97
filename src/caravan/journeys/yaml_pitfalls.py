"""Values of which YAML makes something else than what the file shows: cut texts, words that look like other types."""

import re
from collections.abc import Iterator
from math import isfinite

from caravan.journeys.document import Mapping, Node, Scalar, Sequence
from caravan.journeys.model import Step
from caravan.journeys.step_node import Path, StepNode

_TRUTH = {  # words that other readers of YAML take for true or false (YAML 1.1, bool; YAML 1.2 §10.3)
    **dict.fromkeys(("yes", "on", "true"), "true"),
    **dict.fromkeys(("no", "off", "false"), "false"),
}
# The numbers of YAML (1.1, int and float; 1.2 §10.3) that JSON has not (RFC 8259 §6); +47… is a telephone number.
_NUMBER = re.compile(
    r"-?(0[0-9_]+(\.[0-9_]*)?|0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|[0-9]+(_[0-9]+)+(\.[0-9_]*)?|\.[0-9]+|[0-9]+\.)"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)

_ADDRESS = re.compile(r"[@/][^\s{}%]*$")


def scalars(node: Node, path: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """All values below a node, each with the way to it; keys are none."""
    stack: list[tuple[Path, Node]] = [(path, node)]
    while stack:
        where, each = stack.pop()
        if isinstance(each, Scalar):
            yield where, each
        elif isinstance(each, Sequence):
            stack += [((*where, index), item) for index, item in enumerate(each.items)]
        elif isinstance(each, Mapping):
            stack += [((*where, key), value) for key, value in each.entries.items()]


def json_scalars(node: StepNode, step_type: type[Step]) -> Iterator[tuple[Path, Scalar]]:
    """The values below the fields of a step that take any JSON value."""
    for name in step_type.json_fields:
        path = (step_type.kind,) if name == step_type.sole else (step_type.kind, name)
        if (found := node.at(path)) is not None:
            yield from scalars(found, path)


def cut(scalar: Scalar, *, prose: bool) -> str | None:
    """What to say of a value that a comment may have cut. `prose`: a text, in which # may well stand.

    Elsewhere, and behind an address, it is a comment if a blank follows its #, as comments are written.
    """
    blank = scalar.comment[1:2] in ("", " ", "\t", "#")
    likely = prose and isinstance(scalar.value(), str) and not _ADDRESS.search(scalar.text)
    if not scalar.comment or (blank and not likely):
        return None
    shown = scalar.comment if len(scalar.comment) <= 40 else scalar.comment[:39] + "…"
    return f"YAML takes {shown} for a comment and cuts the text there; put the whole text in quotes if it belongs to it"


def misread(scalar: Scalar) -> str | None:
    """What to say of a text that looks like another type, which other readers of YAML make of it."""
    text = scalar.text
    if scalar.quoted or text in ("true", "false"):
        return None
    if truth := _TRUTH.get(text.lower()):
        return f"{text} is the text '{text}' here; write {truth} if that is meant, else put it in quotes"
    if _NUMBER.fullmatch(text):
        return f"{text} is the text '{text}' here, as JSON knows no such number; put it in quotes, or write another one"
    return None


def out_of_bounds(scalar: Scalar) -> str | None:
    """What to say of a number that can't be kept."""
    value = None if scalar.quoted else scalar.value()
    if isinstance(value, float) and not isfinite(value):
        shown = scalar.text if len(scalar.text) <= 40 else scalar.text[:39] + "…"
        return f"the number {shown} is too large; a number is at most 1.7e308"
    if scalar.is_long_number:
        return "the number has more than 300 characters; put it in quotes"
    return None
