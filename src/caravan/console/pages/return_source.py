"""One of the messages that came back as a file, octet by octet as it came."""

from starlette.responses import Response

from caravan.api.batches import kept
from caravan.api.returns import returned_message
from caravan.console.page import Page
from caravan.console.visit import Visit


async def show(visit: Visit) -> Response:
    """The file, which mail programs open."""
    batch = await kept(visit.engine, visit.customer, visit.batch)
    return await returned_message(visit.engine, batch, visit.request.path_params["message"])


PAGE = Page("/{customer:int}/batches/{batch}/returns/{message:int}", show)
