"""What a journey's editor has in hand: the text, the version that it began with, and a contact to look at messages for.

All of it travels in the form, so that any process can answer, and nothing is kept of a text that is not published.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from caravan.console.graph import draw
from caravan.console.visit import HOME, Visit
from caravan.engine.engine import Engine
from caravan.errors import InvalidInput, NotFound, Problem
from caravan.intake.strict import Accepted, Refused, classify
from caravan.journeys.check import Check, Use, check_journey
from caravan.journeys.definition import MAX_JOURNEY
from caravan.journeys.model import Journey
from caravan.store import journeys
from caravan.store.database import Connection, snapshot
from caravan.store.journeys import Version

LARGEST_FORM = 5 << 20  # bytes: a definition of a MiB, of which each may take three in a form, and a contact
_SAMPLE = Path(__file__).parent / "sample.yaml"
_NUMBER = re.compile(r"^journey:.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Text:
    """The fields of the form."""

    journey: int
    source: str
    base: int  # the version that the text began with; 0 for a new journey
    contact: str = ""
    contact_id: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a check says of a text."""

    journey: Journey | None  # None if there are problems
    problems: list[Problem]
    warnings: list[Problem]
    uses: list[Use]
    lines: int

    @property
    def marks(self) -> dict[int, str]:
        """The lines that are to be marked: "problem" or "warning"."""
        return {each.line: "warning" for each in self.warnings} | {each.line: "problem" for each in self.problems}


def journey_of(visit: Visit) -> int:
    """The journey that the path names. Raises `NotFound` for a number that none can have."""
    number = int(visit.request.path_params["journey"])
    if not 1 <= number <= MAX_JOURNEY:
        raise NotFound("There is no such page.")
    return number


def path_of(visit: Visit) -> str:
    """The path of that journey."""
    return f"{HOME}/{visit.customer}/journeys/{journey_of(visit)}"


async def opened(visit: Visit) -> Text:
    """The newest version's text, or a sample for a journey that has none."""
    journey = journey_of(visit)
    async with snapshot(visit.engine.pool) as connection:
        found = await newest(connection, visit.customer, journey)
        if found is None:
            return Text(journey, sample(journey), 0)
        source = await journeys.source_of(connection, found, visit.customer)
    return Text(journey, source, found.version)


async def newest(connection: Connection, customer: int, journey: int) -> Version | None:
    """The newest version; None if there is none."""
    there = await journeys.is_published(connection, customer, journey)
    return await journeys.latest(connection, customer, journey) if there else None


def sample(journey: int) -> str:
    """A journey to begin with."""
    return _NUMBER.sub(f"journey: {journey}", _SAMPLE.read_text(encoding="utf-8"), count=1)


def posted(visit: Visit, form: Mapping[str, str]) -> Text:
    """The text as the form brings it. Browsers end the lines of a field with CRLF (HTML §4.10.22.4)."""
    base = form.get("base", "0")
    if not (base.isascii() and base.isdigit() and len(base) < 10):
        raise InvalidInput(f"A version is a number; {base[:20]!r} is none.")
    source = form.get("source", "").replace("\r\n", "\n")
    contact = form.get("contact", "").replace("\r\n", "\n")
    return Text(journey_of(visit), source, int(base), contact, form.get("contact_id", "").strip())


async def look(engine: Engine, text: Text) -> Found:
    """Check a text as `caravan journeys check` and a PUT do. In a thread: a large one takes seconds."""
    check = await asyncio.to_thread(check_journey, text.source, engine.journeys.types)
    problems = [*_of_number(check, text), *check.problems]
    lines = text.source.count("\n") + 1
    return Found(None if problems else check.journey, problems, check.warnings, check.uses, lines)


async def drawn(found: Found) -> Markup:
    """The graph of a text that has no problems. In a thread: a large one takes a while."""
    return Markup("") if found.journey is None else await asyncio.to_thread(draw, found.journey)


def _of_number(check: Check, text: Text) -> list[Problem]:
    if check.journey is None or check.journey.journey == text.journey:
        return []
    place = _NUMBER.search(text.source)
    line = text.source.count("\n", 0, place.start()) + 1 if place else 0
    sentence = f"the text says {check.journey.journey}, but this is journey {text.journey}"
    return [Problem(line, "journey", sentence)]


def with_contact(text: Text, found: Found, email: str) -> Text:
    """The same; where no contact is given, with one that has each property that the text asks for, still empty."""
    if text.contact.strip():
        return text
    properties: dict[str, Any] = {}
    for use in found.uses:
        if use.names:
            _put(properties, use.names, email if "mail" in use.names[-1].lower() else "")
    contact = {"id": "1", "properties": properties}
    return replace(text, contact=json.dumps(contact, indent=2, ensure_ascii=False))


def _put(properties: dict[str, Any], names: tuple[str, ...], value: str) -> None:
    for name in names[:-1]:
        inner = properties.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        properties = inner
    properties.setdefault(names[-1], value)


def read_contact(text: str, row_bytes: int) -> Accepted:
    """A contact as it was pasted: a row of a file, or its properties alone. Raises `InvalidInput`."""
    verdict = classify(text.strip().encode("utf-8", "surrogatepass"), row_bytes)
    if isinstance(verdict, Refused) and (alone := _properties_alone(text)) is not None:
        verdict = classify(alone, row_bytes)
    if isinstance(verdict, Accepted):
        return verdict
    sentence = getattr(verdict, "message", "there is none.")
    raise InvalidInput(f"The contact can't be used: {sentence}")


def _properties_alone(text: str) -> bytes | None:
    try:
        found = json.loads(text)
        if isinstance(found, dict) and not {"id", "properties"} & found.keys():
            return b'{"id": "1", "properties": %s}' % text.strip().encode()
    except (ValueError, RecursionError):
        pass
    return None


def shown(contact: Accepted) -> str:
    """A contact as it can be edited."""
    try:
        properties = json.loads(contact.properties)
        return json.dumps({"id": contact.id, "properties": properties}, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):  # a number with more digits than Python reads
        return f'{{"id": {json.dumps(contact.id)}, "properties": {contact.properties}}}'
