"""The HTML of one message, for a frame of the editor: under a policy that lets nothing of it act, load or lead away."""

from http import HTTPStatus

from markupsafe import Markup
from starlette.responses import Response

from caravan.console import editing
from caravan.console.page import Page
from caravan.console.visit import Visit, see_other
from caravan.errors import InvalidInput
from caravan.queries.preview import previews

# CSP Level 3. Mails are styled inline; what they load from elsewhere would tell of the look at them.
_POLICY = "; ".join((
    "default-src 'none'",
    "style-src 'unsafe-inline'",
    "img-src data:",
    "font-src data:",
    "form-action 'none'",
    "base-uri 'none'",
    "frame-ancestors 'self'",
    "sandbox",
))  # fmt: skip
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Frame-Options": "SAMEORIGIN"}


async def show(visit: Visit) -> Response:
    """There is nothing to see by itself."""
    return see_other(f"{editing.path_of(visit)}/edit")


async def submit(visit: Visit) -> Response:
    """The message that the contact would get at the step, or why there is none."""
    form = await visit.form(editing.LARGEST_FORM)
    text, step = editing.posted(visit, form), form.get("step", "")
    found = await editing.look(visit.engine, text)
    if found.journey is None:
        return _told("The text has problems; solve them to see its messages.", HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        contact = editing.read_contact(text.contact, visit.engine.settings.max_row_bytes)
    except InvalidInput as error:
        return _told(error.message, HTTPStatus.BAD_REQUEST)
    for each in await previews(visit.engine, visit.customer, found.journey, contact, step):
        if each.shown is not None and each.shown.html is not None:
            return Response(each.shown.html, media_type="text/html", headers=_HEADERS)
        return _told(each.problem or "This message has no HTML.")
    return _told(f"There is no message step {step}.", HTTPStatus.NOT_FOUND)


def _told(sentence: str, status: int = HTTPStatus.OK) -> Response:
    html = Markup("<!doctype html><title>Preview</title><p>{}</p>").format(sentence)
    return Response(html, status, media_type="text/html", headers=_HEADERS)


PAGE = Page("/{customer:int}/journeys/{journey:int}/frame", show, submit)
