"""Who leaves the journey before a message: by the `goal` and `exit_when` of the journey, as of the moment in which the
window is about to be sent."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from caravan.delivery.cohort_delivery import CohortDelivery, ContactOutcome
from caravan.delivery.envelope import Message
from caravan.events.happening import Happening
from caravan.events.meant import first_met, with_segments
from caravan.journeys.exits import Rule, when
from caravan.steps.exiting import met_conditions
from caravan.steps.move import Tools
from caravan.store import events
from caravan.store.cohorts import CONTACTS, Cohort
from caravan.store.database import single
from caravan.store.events import Done
from caravan.store.ledger import Outcome

_Met = tuple[Outcome, Rule]


async def leaving(delivery: CohortDelivery[Message], people: Sequence[Mapping[str, Any]]) -> dict[int, ContactOutcome]:
    """Who of some contacts (rows of CONTACTS) leaves, by their places among these. At most one query."""
    tools, now = delivery.tools, delivery.tools.clock.now()
    if not tools.exits:
        return {}
    done = await _done(delivery.cohort, tools, people) if tools.exits.by_event else []
    met = await asyncio.to_thread(_met, tools, people, done, now)
    return {place: ContactOutcome(outcome, when(rule), now) for place, (outcome, rule) in met.items()}


async def _done(cohort: Cohort, tools: Tools, people: Sequence[Mapping[str, Any]]) -> list[Done]:
    """What they did, of the events that let contacts go, since they entered the journey."""
    since = cohort.entered_at or cohort.batch_started_at or cohort.batch_created_at
    async with single(tools.pool) as connection:
        contacts = [str(each["id"]) for each in people]
        return await events.done(connection, cohort.customer, contacts, tools.exits.events, since)


def _met(tools: Tools, people: Sequence[Mapping[str, Any]], done: Sequence[Done], now: datetime) -> dict[int, _Met]:
    """The rule that lets each of those go who leave. Blocks."""
    exits, met = tools.exits, dict[int, _Met]()
    if exits.by_condition and people:
        table = pa.Table.from_pylist([dict(each) for each in people], schema=CONTACTS)
        for place, arm in enumerate(met_conditions(exits, table, tools.duck, now).tolist()):
            if arm < len(exits.by_condition):
                met[place] = exits.by_condition[arm]
    for place, rule in _met_by_event(tools, people, done, now):
        if place not in met or rule[0] is Outcome.GOAL:
            met[place] = rule
    return met


def _met_by_event(
    tools: Tools, people: Sequence[Mapping[str, Any]], done: Sequence[Done], now: datetime
) -> list[tuple[int, _Met]]:
    places = dict[str, list[int]]()
    for place, each in enumerate(people):
        places.setdefault(str(each["id"]), []).append(place)
    pairs = [
        (place, Happening(each.contact, each.name, each.at, json.loads(each.properties)))
        for each in done
        for place in places[each.contact]
    ]
    rules = with_segments([rule for _, rule in tools.exits.by_event])
    happenings, properties = [each for _, each in pairs], [str(people[place]["properties"]) for place, _ in pairs]
    chosen = first_met(rules, happenings, properties, tools.duck, now)
    first = dict[int, int]()
    for (place, _), rule in zip(pairs, chosen, strict=True):
        if rule is not None:
            first[place] = min(rule, first.get(place, rule))
    return [(place, tools.exits.by_event[rule]) for place, rule in first.items()]
