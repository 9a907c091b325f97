"""Forget an ended batch: what that deletes for good, before it is confirmed."""

from starlette.responses import Response

from caravan.access import audit
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine import retention
from caravan.queries.batch import batch_report
from caravan.store.database import Connection, single


async def show(visit: Visit) -> Response:
    """What is deleted and the button; a batch that has not ended, or is forgotten already, has nothing to delete."""
    async with single(visit.engine.pool) as connection:
        report = await batch_report(visit.engine, connection, visit.customer, visit.batch)
    path = f"{HOME}/{visit.customer}/batches/{report.batch.id}"
    if not report.batch.ended or report.batch.forgotten_at is not None:
        return see_other(path)
    return visit.page("forget.html", report=report, path=path, may_edit=visit.may_edit)


async def submit(visit: Visit) -> Response:
    """Forget it, with a line of the audit log in the transaction that does."""

    async def note(connection: Connection) -> None:
        actor = visit.actor
        await audit.record(connection, actor, "forget", f"batch {visit.batch}")

    await retention.forget(visit.engine, visit.customer, visit.batch, note)
    return see_other(f"{HOME}/{visit.customer}/batches/{visit.batch}")


PAGE = Page("/{customer:int}/batches/{batch}/forget", show, submit)
