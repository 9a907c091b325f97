"""A contact by its id: each batch that it entered, each step there, what came of it, and why it went on so."""

import json
import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from starlette.responses import Response

from caravan.console.page import Page
from caravan.console.visit import HOME, Visit
from caravan.errors import InvalidInput
from caravan.queries.contact import Contact, Entry, Stay, look_up, where_it_is_not
from caravan.steps.sort import END
from caravan.steps.why import Looked, Why

_NEWEST, _MOST = 200, 1_000  # batches that are looked through at first, and on demand
_SHOWN = 100  # entries, the newest; one that enters by single start every day has hundreds
_LONGEST = 256  # characters of an id
_KEPT = re.compile(r"kept in the sandbox as ([0-9]+)$", re.ASCII)
_EXACT = 2**53  # whole numbers below it are told from each other
_KINDS = {"truth": "true or false", "time": "a time", "number": "a number"}


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of an A/B step: the stretch between 0 and 1 that is its own."""

    to: str
    weight: str
    begin: float
    end: float
    taken: bool


async def show(visit: Visit) -> Response:
    """The field; under it what happened to the contact, or that there is none of this id."""
    contact = visit.request.query_params.get("id", "")
    path, limit = f"{HOME}/{visit.customer}/contacts", _limit(visit.request.query_params.get("batches"))
    found, problem = None, None
    if len(contact) > _LONGEST:
        problem = f"An id has at most {_LONGEST} characters; this one has {len(contact):,}."
    elif contact:
        found = await look_up(visit.engine, visit.customer, contact, limit)
        problem = None if found.entries else where_it_is_not(found)
    status = 404 if problem else 200
    further = _MOST if found and limit < _MOST and found.batches < found.of else None
    return visit.page(
        "contacts.html",
        status,
        id=contact,
        found=found,
        entries=found.entries[-_SHOWN:] if found else [],
        problem=problem,
        path=path,
        further=further,
        owner=visit.may_own,
        **_WORDS,
    )


def _limit(text: str | None) -> int:
    """How many batches to look through. Raises `InvalidInput`."""
    if not text:
        return _NEWEST
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= _MOST:
        raise InvalidInput(f"From 1 to {_MOST:,} batches can be looked through, not {text!r}.")
    return int(text)


def _summary(found: Contact) -> str:
    """What was looked through, in words."""
    entries = f"{len(found.entries):,} {'entry' if len(found.entries) == 1 else 'entries'}"
    if found.batches == found.of:
        whole = "the only batch" if found.of == 1 else f"all {found.of:,} batches"
        return f"{entries} in {whole} whose contacts are kept."
    return f"{entries} in the newest {found.batches:,} of {found.of:,} batches whose contacts are kept."


def _properties(entry: Entry) -> str | None:
    """The properties for a reader; None if no file that is kept has them."""
    if entry.properties is None:
        return None
    return json.dumps(json.loads(entry.properties), ensure_ascii=False, indent=2)


def _value(looked: Looked) -> str:
    """A value as it came and as it was read, in words."""
    if looked.text is None:
        return "is missing or null"
    if looked.kind not in _KINDS:
        return f"is the text “{looked.text}”"
    if looked.read is None:
        return f"is “{looked.text}”, which can't be read as {_KINDS[looked.kind]} and so matches nothing"
    kind = "" if looked.kind == "truth" else f"{looked.kind} "
    return f"is “{looked.text}”, read as {kind}{_read(looked.read)}"


def _read(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return f"{value:.0f}"
    return str(value)


def _arms(why: Why) -> list[Arm]:
    """The arms with their stretches, in their order."""
    ends = list(accumulate(float(weight) for weight, _ in why.arms))
    begins = [0.0, *ends]
    return [
        Arm(to, f"{weight:f}", begin / ends[-1], end / ends[-1], place == why.decided)
        for place, ((weight, to), begin, end) in enumerate(zip(why.arms, begins, ends, strict=False))
    ]


def _kept_as(stay: Stay) -> str | None:
    """The number under which the sandbox keeps the mail."""
    found = _KEPT.search(stay.detail or "") if stay.outcome == "sent" and stay.kind in ("email", "sms") else None
    return found[1] if found else None


def _agrees(why: Why, went: str | None) -> bool:
    """Whether the contact went where the step would send it."""
    return (why.to or END) == went


_WORDS = {
    "summary": _summary,
    "properties": _properties,
    "value": _value,
    "arms": _arms,
    "agrees": _agrees,
    "kept_as": _kept_as,
    "end": END,
}

PAGE = Page("/{customer:int}/contacts", show, menu="Contacts", menu_place=30)
