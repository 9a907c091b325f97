"""Recall a batch: what it will do to how many contacts, in today's numbers, before it is confirmed."""

from starlette.responses import Response

from caravan.console.page import Page
from caravan.console.pages.batch import steer
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine import control
from caravan.queries.batch import batch_report
from caravan.queries.recall import forecast
from caravan.store.database import single


async def show(visit: Visit) -> Response:
    """The sentence and the button; a batch that has ended has nothing to recall."""
    async with single(visit.engine.pool) as connection:
        report = await batch_report(visit.engine, connection, visit.customer, visit.batch)
    path = f"{HOME}/{visit.customer}/batches/{report.batch.id}"
    if report.batch.ended:
        return see_other(path)
    return visit.page("recall.html", report=report, forecast=forecast(report), path=path, may_edit=visit.may_edit)


async def submit(visit: Visit) -> Response:
    """Recall it."""
    return await steer(visit, "recall", control.cancel)


PAGE = Page("/{customer:int}/batches/{batch}/recall", show, submit)
