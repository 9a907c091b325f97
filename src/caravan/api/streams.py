"""Long answers: begun only once there is something to send, and cut off where they can't be whole."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from threading import Event, Lock
from typing import Any

from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from caravan.errors import Unavailable
from caravan.lists import CSV, NDJSON, Form
from caravan.queue import transient

Pieces = Generator[str, None, None]
Check = Callable[[], Awaitable[object]]


def lists_of(line: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """What /openapi.json says of a list as NDJSON or CSV."""
    one, other = _streamed(NDJSON, "One JSON object a line", line), _streamed(CSV, "CSV with a header", line)
    return {200: {"description": "A list", "content": {**one[200]["content"], **other[200]["content"]}}}


def ndjson_of(line: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """What /openapi.json says of a list as NDJSON alone."""
    return _streamed(NDJSON, "One JSON object a line", line)


def events(data: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """What /openapi.json says of server-sent events."""
    return _streamed("text/event-stream", "Server-sent events; `data` is a JSON object", data)


def _streamed(media: str, what: str, model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    members = ", ".join(field.alias or name for name, field in model.model_fields.items())
    schema = {"type": "string", "description": f"{what}: {model.__name__} with {members}."}
    return {200: {"description": what, "content": {media: {"schema": schema}}}}


async def listed(pieces: Pieces, check: Check, form: Form, name: str) -> StreamingResponse:
    """A list as a file of this name: the pieces, each of them some whole lines, made one after the other in a thread.

    `check` is called after each of them, and raises if it must not be sent any more. The first one is made before the
    answer begins, so what is wrong then has a status of its own. What goes wrong later cuts the connection: without its
    last chunk a client knows the answer for incomplete (RFC 9112 §8).
    """
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"', "Vary": "Accept"}
    return await begun(_checked(pieces, check), form.media, headers)


async def begun(pieces: AsyncIterator[str], media: str, headers: dict[str, str] | None = None) -> StreamingResponse:
    """The pieces as an answer that begins once there is a first one, so that what is wrong then has its own status."""
    first = await anext(pieces, "")
    return StreamingResponse(_all(first, pieces), media_type=media, headers=headers)


async def _all(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for piece in rest:
        yield piece


async def _checked(pieces: Pieces, check: Check) -> AsyncIterator[str]:
    guard, over = Lock(), Event()  # a client that goes away does not stop the thread that makes its next piece

    def make() -> str | None:
        try:
            with guard:
                return next(pieces, None)
        finally:
            if over.is_set():
                close()

    def close() -> None:
        over.set()  # the thread that makes a piece just now closes then, and no second one waits for the store
        if guard.acquire(blocking=False):
            try:
                pieces.close()
            finally:
                guard.release()

    try:
        while True:
            try:
                piece = await asyncio.to_thread(make)
            except Exception as error:
                await check()  # says it better, if it is the cause
                raise _told(error) from error
            await check()
            if piece is None:
                return
            yield piece
    finally:  # what was fetched from the store must not lie here until it is garbage-collected
        asyncio.get_running_loop().run_in_executor(None, close)


def _told(error: Exception) -> Exception:
    """What there is to say of a store that does not give a file."""
    if isinstance(error, FileNotFoundError):
        return Unavailable("A file of this batch is missing, as while the batch is being forgotten; try again.")
    if transient.is_transient(error) and transient.no_room(error) is None:
        return Unavailable(f"The store of files can't be read; try again in some seconds: {transient.describe(error)}")
    return error
