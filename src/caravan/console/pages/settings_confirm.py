"""Asks before something is taken away: a token, a user's role, password or sessions."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from caravan.access import management
from caravan.access.users import Role
from caravan.console.page import Page
from caravan.console.pages.settings import Secret, first_password, is_first, shown
from caravan.console.visit import HOME, Visit, see_other
from caravan.errors import CaravanError, Forbidden
from caravan.store import customers
from caravan.store.database import Connection, single


@dataclass(frozen=True, slots=True)
class Act:
    """What is asked about, in words with `of` for whom or what it concerns, and what is done once it is confirmed."""

    title: str
    sentence: str
    do: Callable[[Visit, Connection, str], Awaitable[Secret | None]]


async def show(visit: Visit) -> Response:
    """The sentence and the button."""
    act, of = _asked(visit)
    if act is None or not of:
        return see_other(_settings(visit))
    if not visit.may_own:
        raise Forbidden(f"Only an owner may do this; you are {visit.role} here.")
    named = await _named(visit, of) if act is ACTS["revoke"] else of
    title, sentence = act.title.format(of=named), act.sentence.format(of=named)
    once = secrets.token_urlsafe(12)
    return visit.page("settings_confirm.html", title=title, sentence=sentence, back=_settings(visit), once=once)


async def submit(visit: Visit) -> Response:
    """Do it."""
    act, of = _asked(visit)
    form = await visit.form()
    if act is None or not of:
        return see_other(_settings(visit))
    try:
        async with visit.engine.pool.connection() as connection, connection.transaction():
            if not await is_first(visit, connection, form):
                return see_other(_settings(visit))
            secret = await act.do(visit, connection, of)
    except CaravanError as error:
        return await shown(visit, problem=error.message)
    return await shown(visit, secret=secret) if secret else see_other(_settings(visit))


async def _revoke(visit: Visit, connection: Connection, of: str) -> None:
    await management.revoke_token(connection, visit.manager, of, visit.customer)


async def _remove(visit: Visit, connection: Connection, of: str) -> None:
    await management.take_role(connection, visit.manager, of, visit.customer)


async def _sign_out(visit: Visit, connection: Connection, of: str) -> None:
    await _check_here(visit, connection, of)
    await management.end_sessions(connection, visit.manager, of)


async def _reset(visit: Visit, connection: Connection, of: str) -> Secret:
    await _check_here(visit, connection, of)
    return first_password(of, await management.reset_password(connection, visit.manager, of))


async def _check_here(visit: Visit, connection: Connection, email: str) -> None:
    """Raise `NotFound` for a user that has no role at this customer."""
    await management.check_role(connection, email, visit.customer)


ACTS = {
    "revoke": Act(
        "Revoke the token {of}?",
        "Programs that use it are refused within five seconds. What they have started goes on. This can't be undone.",
        _revoke,
    ),
    "remove": Act(
        "Remove {of}?",
        "{of} no longer sees anything of this customer, from the next page on. Without a role for another customer the "
        "account is deleted. What was done stays in the audit log.",
        _remove,
    ),
    "reset": Act(
        "Reset the password of {of}?",
        "{of} is signed out everywhere and gets a new first password, which you see once, on the next page.",
        _reset,
    ),
    "sign-out": Act(
        "Sign {of} out everywhere?",
        "All sessions of {of} end now, in every browser; signing in again is possible with the same password.",
        _sign_out,
    ),
}


async def _named(visit: Visit, token: str) -> str:
    """A token by its name and id."""
    async with single(visit.engine.pool) as connection:
        known = {each.id: each.name for each in await customers.list_tokens(connection, visit.customer)}
    return f"“{known[token]}” ({token})" if token in known else token


def _asked(visit: Visit) -> tuple[Act | None, str]:
    query = visit.request.query_params
    return ACTS.get(query.get("act", "")), query.get("of", "")


def _settings(visit: Visit) -> str:
    return f"{HOME}/{visit.customer}/settings"


PAGE = Page("/{customer:int}/settings/confirm", show, submit, submit_needs=Role.OWNER)
