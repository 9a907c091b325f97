"""Who is calling: every call below a customer's number needs one of its tokens."""

import hashlib
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Path, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from structlog.contextvars import bind_contextvars

from caravan.engine.engine import Engine
from caravan.errors import Unauthorized
from caravan.store.customers import holds_token
from caravan.store.database import single

_LARGEST = 2**63 - 1
_TRUSTED = timedelta(seconds=5)
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
        self._until: dict[tuple[int, bytes], datetime] = {}

    def holds(self, customer: int, token: str, now: datetime) -> bool:
        """Whether this token of the customer's was right within the last five seconds."""
        until = self._until.get(_key(customer, token))
        return until is not None and now < until

    def add(self, customer: int, token: str, now: datetime) -> None:
        """This token of the customer's is right now."""
        if len(self._until) >= _KEPT:
            self._until.clear()
        self._until[_key(customer, token)] = now + _TRUSTED


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
    if not recent.holds(customer, token, now):
        async with single(engine.pool) as connection:
            if not await holds_token(connection, customer, token):
                raise Unauthorized
        recent.add(customer, token, now)
    bind_contextvars(customer=customer)  # not unbound: each call has a task, and so a context, of its own
    return customer


AnEngine = Annotated[Engine, Depends(engine_of)]
ACustomer = Annotated[int, Depends(customer_of)]
