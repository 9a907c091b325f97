"""Reading events that the API is told of: one JSON object, or one on each line."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

from caravan.errors import InvalidInput, TooLarge
from caravan.events.event import LONGEST_KEY, Event
from caravan.intake.strict import Accepted, Blank, classify
from caravan.journeys.event_names import NAME

MOST_LINES = 100_000  # of one call
AHEAD = timedelta(minutes=5)  # that the clock of a reporter may be before ours
_MEMBERS = ("id", "event", "at", "properties", "key")
_TOLD = 1_000  # refusals that are told one by one


@dataclass(slots=True)
class Reading:
    """What a list of events holds: the events, and the lines that are none, of which the first thousand are told."""

    events: list[Event] = field(default_factory=list)
    refused: int = 0
    refusals: list[tuple[int, str]] = field(default_factory=list)  # (line from 1, why)

    def refuse(self, line: int, message: str) -> None:
        """A line is no event."""
        self.refused += 1
        if len(self.refusals) < _TOLD:
            self.refusals.append((line, message))


def read_events(body: bytes, line_bytes: int, now: datetime) -> Reading:
    """The events of a body, one JSON object a line; blank lines and a BOM are fine. Raises `TooLarge` for more lines
    than one call may have. Blocks, for some 20 µs a line."""
    lines = body.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if len(lines) - (not lines[-1]) > MOST_LINES:
        raise TooLarge(f"The list has more than {MOST_LINES:,} lines; send it in several calls.")
    reading = Reading()
    for number, line in enumerate(lines, start=1):
        try:
            event = _read(line, line_bytes, now)
        except InvalidInput as error:
            reading.refuse(number, error.message)
        else:
            if event is not None:
                reading.events.append(event)
    return reading


def read_event(body: bytes, line_bytes: int, now: datetime) -> Event:
    """The event that a body is. Raises `InvalidInput` with a sentence."""
    event = _read(body.replace(b"\n", b" "), line_bytes, now)  # JSON has no newline within a string
    if event is None:
        raise InvalidInput('The body is empty; send an object like {"id": "anna", "event": "purchase"}.')
    return event


def _read(line: bytes, line_bytes: int, now: datetime) -> Event | None:
    """The event on a line; None if the line is blank. Its id and properties follow the rules for rows of a file."""
    verdict = classify(line, line_bytes)
    if isinstance(verdict, Blank):
        return None
    if not isinstance(verdict, Accepted):
        raise InvalidInput(verdict.message)
    row = json.loads(line)
    _check_members(row)
    return Event(
        contact=verdict.id,
        name=_name(row.get("event")),
        at=_at(row.get("at"), now),
        properties=json.loads(verdict.properties),
        key=_key(row.get("key")),
    )


def _check_members(row: dict[str, Any]) -> None:
    for name in row:
        if name not in _MEMBERS:
            near = get_close_matches(name, _MEMBERS, 1)
            meant = f"did you mean {near[0]}? There" if near else "there"
            raise InvalidInput(f"The event has no member {name[:64]!r}; {meant} are {', '.join(_MEMBERS)}.")


def _name(value: object) -> str:
    if value is None:
        raise InvalidInput("The row has no event, which is its name, like purchase.")
    if not isinstance(value, str) or NAME.fullmatch(value) is None:
        raise InvalidInput(
            f"The event {_short(value)} is no name: a letter, then up to 63 letters, digits, _ . or -, like purchase."
        )
    return value


def _at(value: object, now: datetime) -> datetime:
    if value is None:
        return now
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is None or at.tzinfo is None or not 1970 <= at.year <= 9998:
            raise ValueError
    except ValueError:
        sentence = f"The moment {_short(value)} is none with date, time and zone, like 2026-05-04T09:30:00Z."
        raise InvalidInput(sentence) from None
    if at > now + AHEAD:
        raise InvalidInput(f"The moment {_short(value)} has not come yet.")
    return at


def _key(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_KEY or "\0" in value:
        raise InvalidInput(f"The key must be a string of 1 to {LONGEST_KEY} characters, or an integer.")
    return value


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 80 else f"{text[:79]}…"
