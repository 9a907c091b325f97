"""One message of a held batch as HTML, for a frame: nothing in it runs, loads or leads anywhere."""

from starlette.responses import Response

from caravan.console.guard import FRAMED
from caravan.console.page import Page
from caravan.console.visit import Visit
from caravan.errors import NotFound
from caravan.queries.held import message_of


async def show(visit: Visit) -> Response:
    """What a step would send to a contact. Raises `NotFound` where there is no such message, or none in HTML."""
    query = visit.request.query_params
    step, contact = query.get("step", ""), query.get("contact", "")
    message = await message_of(visit.engine, visit.customer, visit.batch, step, contact)
    if message.html is None:
        raise NotFound("This message has no HTML.")
    return Response(message.html, media_type="text/html", headers=FRAMED)


PAGE = Page("/{customer:int}/new/{batch}/message", show)
