"""Those who wait in older versions of a journey: who can move into the newest one, before it is confirmed."""

from starlette.responses import Response

from caravan.access import audit
from caravan.console.page import Page
from caravan.console.pages.journey import number_of
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine import moving
from caravan.store import journeys


async def show(visit: Visit) -> Response:
    """Who stands where, who can move, and why others can't; and the button, if anybody can."""
    number, reschedule = number_of(visit), visit.request.query_params.get("reschedule") == "yes"
    async with visit.engine.pool.connection() as connection:
        listed = await journeys.one_listed(connection, visit.customer, number)
        journey = await visit.engine.journeys.get(connection, visit.customer, number, listed.version)
        found = await moving.looked(
            visit.engine, connection, visit.customer, journey, listed.version, reschedule=reschedule
        )
    return visit.page(
        "journey_move.html",
        listed=listed,
        found=found,
        contacts=sum(each.contacts for each in found if each.moves),
        reschedule=reschedule,
        path=f"{HOME}/{visit.customer}/journeys/{number}",
        may_edit=visit.may_edit,
    )


async def submit(visit: Visit) -> Response:
    """Move them."""
    number, reschedule = number_of(visit), (await visit.form()).get("reschedule") == "yes"
    async with visit.engine.pool.connection() as connection, connection.transaction():
        version, found = await moving.request(visit.engine, connection, visit.customer, number, reschedule=reschedule)
        moved = sum(each.contacts for each in found if each.moves)
        detail = {"version": version, "reschedule": reschedule, "contacts": moved}
        await audit.record(connection, visit.actor, "move_waiting", f"journey {number}", detail)
    return see_other(f"{HOME}/{visit.customer}/journeys/{number}")


PAGE = Page("/{customer:int}/journeys/{journey:int}/move", show, submit)
