"""A customer's journeys: their newest versions, and which of them have batches under way."""

from starlette.responses import Response

from caravan.console.page import Page
from caravan.console.visit import HOME, Visit
from caravan.store import journeys
from caravan.store.database import single


async def show(visit: Visit) -> Response:
    """The list, or what to do where it is empty."""
    async with single(visit.engine.pool) as connection:
        found = await journeys.listed(connection, visit.customer)
    path = f"{HOME}/{visit.customer}/journeys"
    return visit.page("journeys.html", found=found, path=path, may_edit=visit.may_edit)


PAGE = Page("/{customer:int}/journeys", show, menu="Journeys", menu_place=20)
