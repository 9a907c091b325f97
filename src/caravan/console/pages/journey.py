"""A journey: its graph, its versions and what differs between two of them, its batches, and what steers all of them."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.responses import Response

from caravan.access import audit
from caravan.api.spelling import among
from caravan.console.difference import Change, differences
from caravan.console.graph import draw
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine import control
from caravan.engine.engine import Engine
from caravan.errors import InvalidInput, NotFound
from caravan.queries.journey import JourneyReport, journey_report
from caravan.store.database import Connection, snapshot

_LARGEST = 2**31  # no number of a version is
_LARGEST_JOURNEY = 2**63  # no number of a journey is
Control = Callable[[Engine, Connection, int, int], Awaitable[list[str]]]


async def show(visit: Visit) -> Response:
    """The page, with the version and the comparison that the address asks for."""
    version, old, new = (_number(visit, name) for name in ("version", "from", "to"))
    async with snapshot(visit.engine.pool) as connection:
        report = await journey_report(visit.engine, connection, visit.customer, number_of(visit), version)
        compared = (old, new or report.now.version) if old is not None else None
        changes = await _changes(visit, connection, report, *compared) if compared else None
    # In a thread: a large one takes a while, and nothing else would be answered.
    graph = await asyncio.to_thread(draw, report.journey)
    path = f"{HOME}/{visit.customer}/journeys/{report.now.journey}"
    return visit.page(
        "journey.html",
        report=report,
        graph=graph,
        compared=compared,
        changes=changes,
        path=path,
        may_edit=visit.may_edit,
    )


async def _changes(visit: Visit, connection: Connection, report: JourneyReport, old: int, new: int) -> list[Change]:
    get = visit.engine.journeys.get
    before, after = [await get(connection, visit.customer, report.now.journey, each) for each in (old, new)]
    return await asyncio.to_thread(differences, before, after)


async def submit(visit: Visit) -> Response:
    """Do what the button says to all batches."""
    acts: dict[str, Control] = {"pause": control.pause_journey, "resume": control.resume_journey}
    act = (await visit.form()).get("act", "")
    among("act", act, acts)
    return await steer(visit, act, acts[act])


async def steer(visit: Visit, act: str, change: Control) -> Response:
    """Change all batches of the journey, with a line of the audit log in the same transaction."""
    actor = visit.actor
    journey = number_of(visit)
    async with visit.engine.pool.connection() as connection, connection.transaction():
        changed = await change(visit.engine, connection, visit.customer, journey)
        await audit.record(connection, actor, act, f"journey {journey}", {"batches": len(changed)})
    return see_other(f"{HOME}/{visit.customer}/journeys/{journey}")


def number_of(visit: Visit) -> int:
    """The journey that the path names. Raises `NotFound` for a number that none can have."""
    number = int(visit.request.path_params["journey"])
    if number >= _LARGEST_JOURNEY:
        raise NotFound("There is no such page.")
    return number


def _number(visit: Visit, name: str) -> int | None:
    """A version that the address names."""
    text = visit.request.query_params.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < _LARGEST):
        raise InvalidInput(f"A version is a number; {text!r} is none.")
    return int(text)


PAGE = Page("/{customer:int}/journeys/{journey:int}", show, submit)
