"""Recall all batches of a journey: what it will do to how many contacts, in today's numbers, before it is confirmed."""

from starlette.responses import Response

from caravan.console.page import Page
from caravan.console.pages.journey import number_of, steer
from caravan.console.visit import HOME, Visit
from caravan.engine import control
from caravan.queries.recall import journey_forecast
from caravan.store import journeys
from caravan.store.database import single


async def show(visit: Visit) -> Response:
    """The sentence and the button; without a batch there is nothing to recall, and no button."""
    async with single(visit.engine.pool) as connection:
        listed = await journeys.one_listed(connection, visit.customer, number_of(visit))
        forecast = await journey_forecast(connection, visit.customer, listed.journey)
    path = f"{HOME}/{visit.customer}/journeys/{listed.journey}"
    return visit.page("journey_recall.html", listed=listed, forecast=forecast, path=path, may_edit=visit.may_edit)


async def submit(visit: Visit) -> Response:
    """Recall them."""
    return await steer(visit, "recall", control.cancel_journey)


PAGE = Page("/{customer:int}/journeys/{journey:int}/recall", show, submit)
