"""Sign in."""

from http import HTTPStatus

from starlette.responses import Response

from caravan.access import sessions
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, is_local, see_other, set_session
from caravan.errors import SignInRefused, TooManyAttempts


async def show(visit: Visit) -> Response:
    """The form."""
    return visit.page("login.html", email="", problem=None)


async def submit(visit: Visit) -> Response:
    """Begin a session, with an identifier of its own, and go on to the page that was asked for."""
    form = await visit.form()
    email = form.get("email", "").strip()
    try:
        token = await sessions.sign_in(visit.engine, email, form.get("password", ""), visit.address)
    except SignInRefused as error:
        return visit.page("login.html", HTTPStatus.UNAUTHORIZED, email=email, problem=error.message)
    except TooManyAttempts as error:
        answer = visit.page("login.html", HTTPStatus.TOO_MANY_REQUESTS, email=email, problem=error.message)
        answer.headers["Retry-After"] = str(int(error.after) + 1)
        return answer
    wanted = visit.request.query_params.get("next", HOME)
    return set_session(see_other(wanted if is_local(wanted) else HOME), visit.engine, token)


PAGE = Page("/login", show, submit, is_open=True)
