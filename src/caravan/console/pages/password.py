"""Change one's password; the first one, which a command printed, has to be changed before anything else."""

from http import HTTPStatus

from starlette.responses import Response

from caravan.access import sessions
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, cookie_name, see_other, set_session
from caravan.errors import InvalidInput, SignInRefused, TooManyAttempts


async def show(visit: Visit) -> Response:
    """The form."""
    return visit.page("password.html", problem=None)


async def submit(visit: Visit) -> Response:
    """Take the new password; this session gets a new identifier, and all others of the user end."""
    form = await visit.form()
    old, new = form.get("old", ""), form.get("new", "")
    if new != form.get("again", ""):
        problem = "The new password is not the same in both fields."
        return visit.page("password.html", HTTPStatus.BAD_REQUEST, problem=problem)
    token = visit.request.cookies[cookie_name(visit.engine)]
    try:
        renewed = await sessions.change_password(visit.engine, token, old, new, visit.address)
    except TooManyAttempts as error:
        answer = visit.page("password.html", HTTPStatus.TOO_MANY_REQUESTS, problem=error.message)
        answer.headers["Retry-After"] = str(int(error.after) + 1)
        return answer
    except (InvalidInput, SignInRefused) as error:
        return visit.page("password.html", HTTPStatus.BAD_REQUEST, problem=error.message)
    return set_session(see_other(HOME), visit.engine, renewed)


PAGE = Page("/password", show, submit, is_own=True)
