"""The HTML of a mail in the sandbox, for a frame of the page that shows it. It is a stranger's page: no script of it
runs, it is of no origin, and it loads nothing."""

from starlette.responses import Response

from caravan.console.guard import FRAMED
from caravan.console.page import Page
from caravan.console.pages.sandbox_message import read
from caravan.console.visit import Visit
from caravan.errors import NotFound


async def show(visit: Visit) -> Response:
    """The HTML. Raises `NotFound` if the mail has none."""
    mail = await read(visit)
    if mail.html is None:
        raise NotFound(f"Message {mail.id} has no HTML.")
    return Response(mail.html, headers=FRAMED, media_type="text/html")


PAGE = Page("/sandbox/{message:int}/html", show)
