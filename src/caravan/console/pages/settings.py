"""Settings of a customer: tokens, users and roles, and what is kept for how long."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.responses import Response

from caravan.access import management
from caravan.access.users import Role, users_of
from caravan.api.spelling import among
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other
from caravan.errors import CaravanError, InvalidInput
from caravan.store import customers, idempotency
from caravan.store.database import Connection, single
from caravan.store.idempotency import Answer, Key

_DONE = Answer(303, {})


@dataclass(frozen=True, slots=True)
class Secret:
    """What is shown this one time: a token, or a first password."""

    title: str
    label: str
    value: str
    hint: str


async def show(visit: Visit) -> Response:
    """The page; to those who are no owners it says what is kept for how long, and who manages the rest."""
    return await shown(visit)


async def shown(visit: Visit, problem: str | None = None, secret: Secret | None = None) -> Response:
    """The page, with what came of its form."""
    customer, settings = visit.customer, visit.engine.settings
    async with single(visit.engine.pool) as connection:
        tokens = await customers.list_tokens(connection, customer) if visit.may_own else []
        people = await users_of(connection, customer) if visit.may_own else []
        own_days = await customers.retention_of(connection, customer)
    return visit.page(
        "settings.html",
        HTTPStatus.BAD_REQUEST if problem else HTTPStatus.OK,
        problem=problem,
        secret=secret,
        path=f"{HOME}/{customer}/settings",
        is_owner=visit.may_own,
        is_operator=visit.known.is_operator,
        role=visit.role,
        tokens=tokens,
        people=people,
        roles=list(Role),
        days=own_days if own_days is not None else settings.retention_days,
        is_own=own_days is not None,
        settings=settings,
        once=secrets.token_urlsafe(12),
    )


async def submit(visit: Visit) -> Response:
    """Do what the form says. What can be seen only once is the answer itself, and in no address and no cookie; the same
    form sent again, as by a reload, does nothing."""
    form = await visit.form()
    acts: dict[str, Callable[[Visit, Connection, dict[str, str]], Awaitable[Secret | None]]] = {
        "create_token": _create_token,
        "give_role": _give_role,
    }
    act = form.get("act", "")
    among("act", act, acts)
    try:
        async with visit.engine.pool.connection() as connection, connection.transaction():
            if not await is_first(visit, connection, form):
                return see_other(visit.request.url.path)
            secret = await acts[act](visit, connection, form)
    except CaravanError as error:
        return await shown(visit, problem=error.message)
    return await shown(visit, secret=secret) if secret else see_other(visit.request.url.path)


async def is_first(visit: Visit, connection: Connection, form: dict[str, str]) -> bool:
    """Whether this form comes for the first time, by the word `once` in it. Raises `InvalidInput` without one."""
    once = form.get("once", "")
    if not once:
        raise InvalidInput("Open the page anew and try again.")
    digest = hashlib.sha256(f"{visit.known.user} {once}".encode("utf-8", "surrogatepass")).hexdigest()
    key = Key(visit.customer, f"console {digest}", digest)
    if await idempotency.claim(connection, key, visit.engine.clock.now()) is not None:
        return False
    await idempotency.keep(connection, key, _DONE)
    return True


async def _create_token(visit: Visit, connection: Connection, form: dict[str, str]) -> Secret:
    made = await management.create_token(
        connection, visit.manager, visit.customer, form.get("name", ""), visit.engine.clock
    )
    hint = "Copy it now: it is stored nowhere and can't be shown again. It has all rights for this customer by the API."
    return Secret("The new token", "Token", made, hint)


async def _give_role(visit: Visit, connection: Connection, form: dict[str, str]) -> Secret | None:
    role, email = form.get("role", ""), form.get("email", "")
    among("role", role, Role)
    password = await management.give_role(connection, visit.manager, email, visit.customer, Role(role))
    return None if password is None else first_password(email.strip(), password)


def first_password(email: str, password: str) -> Secret:
    """How to tell a user the password to begin with."""
    hint = (
        f"Give it to {email} in a way that nobody else reads. It is shown only now, and has to be changed at first use."
    )
    return Secret(f"First password of {email}", "Password", password, hint)


PAGE = Page("/{customer:int}/settings", show, submit, submit_needs=Role.OWNER, menu="Settings", menu_place=60)
