"""A batch: its state, why it waits, its ledger and its steps, live; pause, resume and retry."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from markupsafe import Markup
from starlette.responses import Response

from caravan.access import audit
from caravan.api.spelling import among
from caravan.console.chart import chart
from caravan.console.graph import counts_of, draw, fragments
from caravan.console.page import Fragments, Page
from caravan.console.rendering import macro
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine import control
from caravan.engine.engine import Engine
from caravan.queries.batch import BatchReport, batch_report
from caravan.queries.batch_returns import batch_returns
from caravan.queries.listed import opener, way_in
from caravan.queries.moved import Movements
from caravan.queries.watch import Progress
from caravan.store.batches import Batch
from caravan.store.database import Connection, single

UNDRAWN = "none"  # what the page tells its stream where it has no graph yet
_AT_FIRST, _LONGEST = 0.05, 0.5  # seconds for reading the journal before a page is shown, and while it is followed
_AGE = 5.0  # seconds for which what moved over time is not asked for again
_PARTS = ("summary", "waits", "actions", "ledger", "steps", "rejects")  # macros, and the ids of what they make
Control = Callable[[Engine, Connection, int, str], Awaitable[Batch]]


async def show(visit: Visit) -> Response:
    """The page."""
    async with single(visit.engine.pool) as connection:
        report = await batch_report(visit.engine, connection, visit.customer, visit.batch)
        returns = await batch_returns(connection, report)
        by = await opener(connection, visit.customer, report.batch.id)
    path = f"{HOME}/{visit.customer}/batches/{report.batch.id}"
    graph = await asyncio.to_thread(_graph, report)  # a large one takes a while
    moved = chart(await visit.watches.movements.of(report.batch.id, seconds=_AT_FIRST, age=_AGE))
    return visit.page(
        "batch.html",
        report=report,
        rate=None,
        path=path,
        may_edit=visit.may_edit,
        graph=graph,
        moved=moved,
        returns=returns,
        way=way_in(report),
        by=by,
    )


def _graph(report: BatchReport) -> Markup | None:
    """The journey with live counts; None before it is known which version of it the batch takes."""
    return None if report.journey is None else draw(report.journey, counts_of(report.journey, report.ledger))


async def live(visit: Visit) -> AsyncIterator[Fragments]:
    """All parts of the page, until the batch has ended."""
    async with single(visit.engine.pool) as connection:  # a missing one is told by a status
        await batch_report(visit.engine, connection, visit.customer, visit.batch)
    drawn = visit.request.query_params.get("graph") != UNDRAWN
    return _fragments(visit, visit.watches.follow(visit.customer, visit.batch), drawn)


async def _fragments(visit: Visit, followed: AsyncIterator[Progress], drawn: bool) -> AsyncIterator[Fragments]:
    """`drawn`: the page has a graph, of which only the counts come; else it comes whole once it is known."""
    customer, may_edit = visit.customer, visit.may_edit
    async for progress in followed:
        key = ("batch", progress.report.batch.id, customer, may_edit, drawn)
        make = partial(_rendered, visit.watches.movements, progress, customer, may_edit, drawn)
        yield await visit.shared.of(key, progress, make)
        drawn = drawn or progress.report.journey is not None


async def _rendered(movements: Movements, progress: Progress, customer: int, may_edit: bool, drawn: bool) -> Fragments:
    report = progress.report
    values = (report, progress.rate, customer, may_edit)
    age = 0.0 if report.batch.ended else _AGE  # the last look is at all of it
    moved = await movements.of(report.batch.id, seconds=_LONGEST, age=age)
    found = {part: macro("parts.html", part, *values) for part in _PARTS}
    found["moved"] = macro("chart.html", "moved", chart(moved))
    found["returns"] = macro("returns_parts.html", "returns", progress.returns, report, customer)
    if report.journey is not None and drawn:
        found |= await asyncio.to_thread(fragments, report.journey, counts_of(report.journey, report.ledger))
    elif report.journey is not None:
        found["graph-card"] = macro("parts.html", "graph_card", await asyncio.to_thread(_graph, report))
    return found


async def submit(visit: Visit) -> Response:
    """Do what the button says, and show what became of it."""
    acts: dict[str, Control] = {"pause": control.pause, "resume": control.resume, "retry": control.retry}
    act = (await visit.form()).get("act", "")
    among("act", act, acts)
    return await steer(visit, act, acts[act])


async def steer(visit: Visit, act: str, change: Control) -> Response:
    """Change the batch, with a line of the audit log in the same transaction, and go on to its page."""
    async with visit.engine.pool.connection() as connection, connection.transaction():
        changed = await change(visit.engine, connection, visit.customer, visit.batch)
        await audit.record(connection, visit.actor, act, f"batch {changed.id}")
    return see_other(f"{HOME}/{visit.customer}/batches/{changed.id}")


PAGE = Page("/{customer:int}/batches/{batch}", show, submit, live=live)
