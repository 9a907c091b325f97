"""One mail of the sandbox: as HTML in a frame, as text, with its headers, and as it would have been sent."""

from starlette.responses import Response

from caravan.console.page import Page
from caravan.console.pages.sandbox import PATH, allowed
from caravan.console.visit import Visit
from caravan.errors import InvalidInput
from caravan.queries.sandbox import KeptMail, get_mail
from caravan.store.database import single

_VIEWS = ("html", "text", "headers", "source")
_SHOWN = 256 << 10  # bytes of the source that a page shows; the file has all


async def read(visit: Visit) -> KeptMail:
    """The mail that the path names. Raises `NotFound`, also for one of another customer."""
    async with single(visit.engine.pool) as connection:
        return await get_mail(connection, int(visit.request.path_params["message"]), allowed(visit))


async def show(visit: Visit) -> Response:
    """The mail in one of its views, by default the one that its reader would see."""
    mail = await read(visit)
    views = [view for view in _VIEWS if view not in ("html", "text") or getattr(mail, view) is not None]
    view = visit.request.query_params.get("view") or views[0]
    if view not in _VIEWS:
        raise InvalidInput(f"There is no view {view!r} of a mail; there are {', '.join(_VIEWS)}.")
    source = mail.raw[:_SHOWN].decode("utf-8", "replace") if view == "source" else None
    return visit.page(
        "sandbox_message.html",
        mail=mail,
        views=views,
        view=view if view in views else views[0],
        source=source,
        is_cut=len(mail.raw) > _SHOWN,
        path=f"{PATH}/{mail.id}",
        list_path=PATH,
    )


PAGE = Page("/sandbox/{message:int}", show)
