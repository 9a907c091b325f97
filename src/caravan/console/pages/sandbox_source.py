"""A message of the sandbox as a file, octet by octet as it would have been sent."""

from starlette.responses import Response

from caravan.console.page import Page
from caravan.console.pages.sandbox_message import read
from caravan.console.visit import Visit
from caravan.queries.sandbox import SMS


async def show(visit: Visit) -> Response:
    """The file, which mail programs open."""
    mail = await read(visit)
    ending, kind = ("txt", "text/plain") if mail.channel == SMS else ("eml", "message/rfc822")
    headers = {"Content-Disposition": f'attachment; filename="{mail.id}.{ending}"'}
    return Response(mail.raw, headers=headers, media_type=kind)


PAGE = Page("/sandbox/{message:int}/source", show)
