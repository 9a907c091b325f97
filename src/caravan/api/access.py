"""Who is calling: every call below a customer's number needs one of its tokens."""

from typing import Annotated

from fastapi import Depends, Header, Path, Request

from caravan.engine.engine import Engine
from caravan.errors import Unauthorized
from caravan.store.customers import holds_token

_LARGEST = 2**63 - 1


def engine_of(request: Request) -> Engine:
    """The engine that this app was made for."""
    engine: Engine = request.app.state.engine
    return engine


async def customer_of(
    engine: Annotated[Engine, Depends(engine_of)],
    customerid: Annotated[str, Path(description="The customer's number.")],
    x_carma_authentication_token: Annotated[str | None, Header()] = None,
    authorization: Annotated[str | None, Header()] = None,
) -> int:
    """The customer of this call. Raises `Unauthorized`, the same for a wrong token as for a wrong number."""
    token = x_carma_authentication_token or _bearer(authorization)
    is_number = customerid.isascii() and customerid.isdigit() and len(customerid) <= len(str(_LARGEST))
    if not token or not is_number or int(customerid) > _LARGEST:
        raise Unauthorized
    async with engine.pool.connection() as connection:
        if not await holds_token(connection, int(customerid), token):
            raise Unauthorized
    return int(customerid)


def _bearer(authorization: str | None) -> str | None:
    kind, _, token = (authorization or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


AnEngine = Annotated[Engine, Depends(engine_of)]
ACustomer = Annotated[int, Depends(customer_of)]
