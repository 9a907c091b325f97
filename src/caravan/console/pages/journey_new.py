"""A new journey: its number, which leads to the editor with a sample to begin with."""

from http import HTTPStatus

from starlette.responses import Response

from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other
from caravan.errors import Forbidden
from caravan.journeys.definition import MAX_JOURNEY
from caravan.store import journeys
from caravan.store.database import single


async def show(visit: Visit) -> Response:
    """The form, with the first number that is free behind all that there are."""
    if not visit.may_edit:
        raise Forbidden("Only an editor may make a journey; you are viewer here.")
    async with single(visit.engine.pool) as connection:
        known = await journeys.list_journeys(connection, visit.customer)
    largest = max((each.journey for each in known), default=0)
    return visit.page("journey_new.html", number=min(largest + 1, MAX_JOURNEY), problem=None)


async def submit(visit: Visit) -> Response:
    """On to the editor. Nothing is kept of the journey before it is published."""
    number = (await visit.form()).get("number", "").strip()
    good = number.isascii() and number.isdigit() and len(number) <= 19 and 1 <= int(number) <= MAX_JOURNEY
    if not good:
        problem = f"A journey's number is a whole number from 1 to {MAX_JOURNEY}."
    else:
        async with single(visit.engine.pool) as connection:
            taken = await journeys.is_published(connection, visit.customer, int(number))
        if not taken:
            return see_other(f"{HOME}/{visit.customer}/journeys/{int(number)}/edit")
        problem = f"There is a journey {int(number)} already; choose another number."
    return visit.page("journey_new.html", HTTPStatus.BAD_REQUEST, number=number[:30], problem=problem)


PAGE = Page("/{customer:int}/journeys/new", show, submit)
