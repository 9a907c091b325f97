"""POST calls that may come twice: read the body, honour the Idempotency-Key, answer in one transaction."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

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


async def once(request: Request, engine: Engine, customer: int, body: bytes, work: Work) -> JSONResponse:
    """Do the work and answer, or answer what the same key and body were answered before."""
    async with engine.pool.connection() as connection, connection.transaction():
        answer = await _answer(request, engine, connection, customer, body, work)
    return JSONResponse(answer.body, answer.status)


async def _answer(
    request: Request, engine: Engine, connection: Connection, customer: int, body: bytes, work: Work
) -> Answer:
    key = key_of(request, customer, body)
    if key is None:
        return await work(connection)
    known = await idempotency.claim(connection, key, engine.clock.now())
    if known is not None:
        return known
    answer = await work(connection)
    await idempotency.keep(connection, key, answer)
    return answer


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
