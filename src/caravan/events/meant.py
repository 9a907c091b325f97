"""Which of several rules an event meets, of those who did it."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from caravan.events.happening import Happening
from caravan.journeys.event_rules import EventRule
from caravan.journeys.event_segments import compile_event_segment, event_and_contact
from caravan.journeys.segments import Segment, first_true

Rules = Sequence[tuple[EventRule, Segment | None]]  # each with its condition


def with_segments(rules: Sequence[EventRule]) -> Rules:
    """Rules with their conditions read."""
    return [(each, None if each.condition is None else compile_event_segment(each.condition)) for each in rules]


def first_met(
    rules: Rules,
    happenings: Sequence[Happening],
    contacts: Sequence[str],
    duck: duckdb.DuckDBPyConnection,
    now: datetime,
) -> list[int | None]:
    """The first rule that each happening meets for a contact with these properties, the text of a JSON object; None if
    it meets none. Blocks."""
    chosen: list[int | None] = [None] * len(happenings)
    for index, (rule, segment) in enumerate(rules):
        places = [
            place
            for place, (happening, properties) in enumerate(zip(happenings, contacts, strict=True))
            if chosen[place] is None and _is_meant(rule, happening, properties)
        ]
        if segment is not None and places:
            places = _where_true(segment, places, happenings, contacts, duck, now)
        for place in places:
            chosen[place] = index
    return chosen


def _is_meant(rule: EventRule, happening: Happening, properties: str) -> bool:
    """Whether it is an event of this name, about the same thing as the contact's property of the name in `match`."""
    if happening.name != rule.event:
        return False
    if rule.match is None:
        return True
    own, told = json.loads(properties).get(rule.match), happening.properties.get(rule.match)
    return own is not None and told is not None and _text(own) == _text(told)


def _text(value: Any) -> str:
    """Values of an order as systems write them: 17 and "17" are the same."""
    return value if isinstance(value, str) else json.dumps(value)


def _where_true(
    segment: Segment,
    places: list[int],
    happenings: Sequence[Happening],
    contacts: Sequence[str],
    duck: duckdb.DuckDBPyConnection,
    now: datetime,
) -> list[int]:
    ids = [happenings[place].contact for place in places]
    objects = [event_and_contact(happenings[place].properties, contacts[place]) for place in places]
    with duck.cursor() as cursor:
        cursor.register("contacts", pa.table({"id": pa.array(ids), "properties": pa.array(objects)}))
        arms = cursor.execute(first_true([segment], now)).fetchnumpy()["arm"]
    return [place for place, arm in zip(places, arms, strict=True) if arm == 0]
