"""The journeys that another one lets its contacts enter, looked at before it is published: whether they are there, and
whether contacts would go round among them for ever."""

from collections.abc import Iterator

from caravan.engine.engine import Engine
from caravan.errors import NotFound, Problem
from caravan.journeys.definition import Reading
from caravan.journeys.document import read_document
from caravan.journeys.graph import at_once
from caravan.journeys.model import Journey, Step
from caravan.store import journeys
from caravan.store.database import Connection


async def problems_of(
    engine: Engine, connection: Connection, customer: int, journey: Journey, source: str
) -> list[Problem]:
    """What is wrong with the journeys that this one, read from `source`, lets its contacts enter."""
    entering = {step.id: step.enters for step in journey.steps if step.enters is not None}
    if not entering:
        return []
    found = await _newest(engine, connection, customer, journey)
    messages = {
        id: f"there is no journey {to}; publish that one first" for id, to in entering.items() if to not in found
    }
    for step in at_once(journey.steps):
        if step.enters in found and (way := _way(found, step.enters, journey.journey)):
            circle = " → ".join(map(str, (journey.journey, *way)))
            messages[step.id] = f"this closes a circle of journeys that has no wait in it: {circle}"
    return [_problem(source, engine, step, messages[step.id]) for step in journey.steps if step.id in messages]


async def _newest(engine: Engine, connection: Connection, customer: int, journey: Journey) -> dict[int, list[int]]:
    """Which journeys contacts enter in the moment in which they enter one, for this one and all that can be come to."""
    found = {journey.journey: list(_entered(at_once(journey.steps)))}
    ahead = list(_entered(journey.steps))
    while ahead:
        number = ahead.pop()
        if number in found:
            continue
        try:
            newest = await journeys.latest(connection, customer, number)
        except NotFound:
            continue
        other = await engine.journeys.get(connection, customer, number, newest.version)
        found[number] = list(_entered(at_once(other.steps)))
        ahead += found[number]
    return found


def _entered(steps: Iterator[Step] | tuple[Step, ...]) -> Iterator[int]:
    return (step.enters for step in steps if step.enters is not None)


def _way(found: dict[int, list[int]], start: int, end: int) -> list[int]:
    """The journeys by which contacts come from one to another at once; none if they don't."""
    before: dict[int, int | None] = {start: None}
    ahead = [start]
    while ahead and end not in before:
        number = ahead.pop()
        for each in found.get(number, []):
            if each not in before:
                before[each] = number
                ahead.append(each)
    way, at = list[int](), end if end in before else None
    while at is not None:
        way.append(at)
        at = before[at]
    return way[::-1]


def _problem(source: str, engine: Engine, step: Step, message: str) -> Problem:
    """The message with the line of the step in the text."""
    reading = Reading(read_document(source), engine.journeys.types)
    reading.steps(reading.mapping())
    node = next(node for node, each in reading.read_steps if each.id == step.id)
    return Problem(node.line_of((step.kind,)), node.place((step.kind,)), message)
