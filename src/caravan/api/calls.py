"""POST calls that may come twice: read the body, honour the Idempotency-Key, answer in one transaction."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from caravan.api.acts import record_act
from caravan.engine.commence import Starter
from caravan.engine.engine import Engine
from caravan.errors import InvalidInput, TooLarge
from caravan.store import idempotency
from caravan.store.database import Connection
from caravan.store.idempotency import Answer, Key

LARGEST_BODY = 4 << 20  # bytes; only files of contacts are larger, and those are streamed

Work = Callable[[Connection], Awaitable[Answer]]


async def read_body(request: Request, largest: int = LARGEST_BODY) -> bytes:
    """The body. Raises `TooLarge` as soon as it is."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > largest:
            raise TooLarge(f"The body is larger than {largest:,} bytes.")
    return bytes(body)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is. Raises `InvalidInput`."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInput('The body is not JSON; send an object like {"entityId": 4711}.') from None
    if not isinstance(content, dict):
        raise InvalidInput('The body is not a JSON object; send one like {"entityId": 4711}.')
    return content


def faults(error: ValidationError) -> str:
    """What is wrong with the members of a body, in words."""
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False))


async def once(
    request: Request,
    engine: Engine,
    customer: int,
    body: bytes,
    work: Work,
    detail: dict[str, Any] | None = None,
    *,
    recorded: bool = True,
) -> JSONResponse:
    """Do the work and answer, or answer what the same key and body were answered before.

    It is entered into the audit log, with the `detail` as it is after the work; not if `recorded` is False, which is
    for work that does so itself.
    """
    async with engine.pool.connection() as connection, connection.transaction():
        key = key_of(request, customer, body)
        known = None if key is None else await idempotency.claim(connection, key, engine.clock.now())
        answer = known or await work(connection)
        if known is None and recorded:
            await record_act(request, connection, answer.body, detail)
        if known is None and key is not None:
            await idempotency.keep(connection, key, answer)
    return JSONResponse(answer.body, answer.status)


async def commence(request: Request, customer: int, journey: int) -> JSONResponse:
    """Enter one contact, or answer what the same key and body were answered before."""
    starter: Starter = request.app.state.starter
    body = await read_body(request)
    answer = await starter.commence(customer, journey, body, key_of(request, customer, body))
    return JSONResponse(answer.body, answer.status)


def key_of(request: Request, customer: int, body: bytes) -> Key | None:
    """The call's Idempotency-Key, if it has one."""
    value = request.headers.get("idempotency-key")
    return None if value is None else Key(customer, value, _fingerprint(request, body))


def _fingerprint(request: Request, body: bytes) -> str:
    path = request.url.path.removeprefix("/rest")
    return hashlib.sha256(f"{request.method} {path}\n".encode() + body).hexdigest()
