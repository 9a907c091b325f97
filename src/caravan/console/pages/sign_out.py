"""Sign out."""

from starlette.responses import Response

from caravan.access import sessions
from caravan.console.page import Page
from caravan.console.visit import HOME, LOGIN, Visit, cookie_name, drop_session, see_other


async def show(visit: Visit) -> Response:
    """A visit by address alone signs out of nothing."""
    return see_other(HOME)


async def submit(visit: Visit) -> Response:
    """End the session here and at the browser."""
    token = visit.request.cookies.get(cookie_name(visit.engine))
    if token is not None and visit.visitor is not None:
        await sessions.sign_out(visit.engine, token, visit.address)
    return drop_session(see_other(LOGIN), visit.engine)


PAGE = Page("/sign-out", show, submit, is_open=True)
