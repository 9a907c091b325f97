"""A batch: its state, why it waits, its ledger and its steps, live; pause, resume and retry."""

from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.responses import Response

from caravan.access import audit
from caravan.api.spelling import among
from caravan.console.page import Fragments, Page
from caravan.console.rendering import macro
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine import control
from caravan.engine.engine import Engine
from caravan.queries.batch import batch_report
from caravan.queries.watch import Progress
from caravan.store.batches import Batch
from caravan.store.database import Connection, single

_PARTS = ("summary", "waits", "actions", "ledger", "steps", "rejects")  # macros, and the ids of what they make
Control = Callable[[Engine, Connection, int, str], Awaitable[Batch]]


async def show(visit: Visit) -> Response:
    """The page."""
    async with single(visit.engine.pool) as connection:
        report = await batch_report(visit.engine, connection, visit.customer, visit.batch)
    path = f"{HOME}/{visit.customer}/batches/{report.batch.id}"
    return visit.page("batch.html", report=report, rate=None, path=path, may_edit=visit.may_edit)


async def live(visit: Visit) -> AsyncIterator[Fragments]:
    """All parts of the page, until the batch has ended."""
    async with single(visit.engine.pool) as connection:  # a missing one is told by a status
        await batch_report(visit.engine, connection, visit.customer, visit.batch)
    return _fragments(visit.watches.follow(visit.customer, visit.batch), visit.customer, visit.may_edit)


async def _fragments(followed: AsyncIterator[Progress], customer: int, may_edit: bool) -> AsyncIterator[Fragments]:
    async for progress in followed:
        values = (progress.report, progress.rate, customer, may_edit)
        yield {part: macro("parts.html", part, *values) for part in _PARTS}


async def submit(visit: Visit) -> Response:
    """Do what the button says, and show what became of it."""
    acts: dict[str, Control] = {"pause": control.pause, "resume": control.resume, "retry": control.retry}
    act = (await visit.form()).get("act", "")
    among("act", act, acts)
    return await steer(visit, act, acts[act])


async def steer(visit: Visit, act: str, change: Control) -> Response:
    """Change the batch, with a line of the audit log in the same transaction, and go on to its page."""
    actor = audit.Actor(audit.ActorKind.USER, visit.known.email, visit.customer)
    async with visit.engine.pool.connection() as connection, connection.transaction():
        changed = await change(visit.engine, connection, visit.customer, visit.batch)
        await audit.record(connection, actor, act, f"batch {changed.id}")
    return see_other(f"{HOME}/{visit.customer}/batches/{changed.id}")


PAGE = Page("/{customer:int}/batches/{batch}", show, submit, live=live)
