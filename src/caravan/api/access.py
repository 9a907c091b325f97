"""Who is calling: every call below a customer's number needs one of its tokens."""

import hashlib
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Path, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from structlog.contextvars import bind_contextvars

from caravan.access.audit import Actor, ActorKind
from caravan.engine.engine import Engine
from caravan.errors import Unauthorized
from caravan.store.customers import Token, get_token, use_token
from caravan.store.database import Connection, single

_LARGEST = 2**63 - 1
_TRUSTED = timedelta(seconds=5)
_NOTED = timedelta(minutes=1)  # how exactly it is known when a token was last used
_KEPT = 10_000  # tokens in memory
_HEADER = APIKeyHeader(
    name="X-Carma-Authentication-Token",
    auto_error=False,
    description="A token of the customer.",
)
_BEARER = HTTPBearer(auto_error=False, description="The same token as `Authorization: Bearer …` (RFC 6750).")


class RecentTokens:
    """Tokens that were right a moment ago, by their digests, so that a client's next call needs no query for its own.

    A token that is deleted opens its customer for up to five seconds more in each process.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, bytes], tuple[datetime, Token]] = {}

    def get(self, customer: int, token: str, now: datetime) -> Token | None:
        """This token of the customer's, if it was right within the last five seconds."""
        until, known = self._known.get(_key(customer, token), (now, None))
        return known if now < until else None

    def add(self, customer: int, token: str, known: Token, now: datetime) -> None:
        """This token of the customer's is right now."""
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[_key(customer, token)] = now + _TRUSTED, known


def _key(customer: int, token: str) -> tuple[int, bytes]:
    return customer, hashlib.sha256(token.encode()).digest()


# Not `def`: FastAPI would call that in a thread, and each call of a client would wait for a thread to get its turn.
async def engine_of(request: Request) -> Engine:
    """The engine that this app was made for."""
    engine: Engine = request.app.state.engine
    return engine


async def customer_of(
    request: Request,
    customerid: Annotated[str, Path(description="The customer's number.")],
    header: Annotated[str | None, Security(_HEADER)] = None,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)] = None,
) -> int:
    """The customer of this call. Raises `Unauthorized`, the same for a wrong token as for a wrong number."""
    return await authenticate(request, customerid, header or (bearer.credentials.strip() if bearer else None))


async def authenticate(request: Request, customerid: str, token: str | None) -> int:
    """The customer with this number, if the token is one of its own. Raises `Unauthorized`."""
    engine: Engine = request.app.state.engine
    is_number = customerid.isascii() and customerid.isdigit() and len(customerid) <= len(str(_LARGEST))
    if not token or not is_number or int(customerid) > _LARGEST:
        raise Unauthorized
    customer, now = int(customerid), engine.clock.now()
    recent: RecentTokens = request.app.state.recent_tokens
    known = recent.get(customer, token, now)
    if known is None:
        async with single(engine.pool) as connection:
            known = await _look_up(connection, customer, token, now)
        recent.add(customer, token, known, now)
    bind_contextvars(customer=customer)  # not unbound: each call has a task, and so a context, of its own
    request.state.token = known
    return customer


async def _look_up(connection: Connection, customer: int, token: str, now: datetime) -> Token:
    """The token as it is stored, where it is noted, once a minute, that it is in use. Raises `Unauthorized`."""
    found = await get_token(connection, customer, token)
    if found is None:
        raise Unauthorized
    if found.used_at is None or now - found.used_at >= _NOTED:
        await use_token(connection, found.id, now, now - _NOTED)
    return found


def actor_of(request: Request) -> Actor:
    """The token that makes this call, for the audit log."""
    token: Token = request.state.token
    return Actor(ActorKind.TOKEN, token.id, token.customer, address_of(request), token.name)


def address_of(request: Request) -> str:
    """Where the call comes from."""
    return request.client.host if request.client else ""


AnEngine = Annotated[Engine, Depends(engine_of)]
ACustomer = Annotated[int, Depends(customer_of)]
