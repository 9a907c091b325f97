"""Running the client's plain code in an event loop: while it would wait for the network, the loop goes on.

Plain code runs in a greenlet. Where it waits for something, it hands that to the coroutine that runs it, which awaits
it and hands back what came of it; SQLAlchemy's asyncio extension works in the same way.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final, ParamSpec, TypeVar

from greenlet import getcurrent, greenlet

Params = ParamSpec("Params")
Got = TypeVar("Got")
_END: Final[Any] = object()
_AT_ONCE: Final = 1_000  # items that a thread gets together


async def run(call: Callable[Params, Got], *args: Params.args, **kwargs: Params.kwargs) -> Got:
    """What plain code returns that waits by `awaited`. A cancellation is raised where it waits."""
    running = greenlet(call)
    running.gr_context = getcurrent().gr_context
    found: Any = running.switch(*args, **kwargs)
    while not running.dead:
        try:
            got = await found
        except BaseException as error:
            found = running.throw(error)
        else:
            found = running.switch(got)
    return found  # type: ignore[no-any-return]


def awaited(waiting: Awaitable[Got]) -> Got:
    """What comes of it, for plain code that `run` runs."""
    parent = getcurrent().parent
    assert parent is not None
    got: Got = parent.switch(waiting)
    return got


async def each(items: Iterator[Got]) -> AsyncIterator[Got]:
    """The items of a plain iterator that waits by `awaited`."""
    try:
        while (item := await run(next, items, _END)) is not _END:
            yield item
    finally:
        if close := getattr(items, "close", None):
            await run(close)


async def in_threads(items: Iterator[Got]) -> AsyncIterator[Got]:
    """The items of an iterator that may take its time, each asked for in a thread."""
    while (item := await asyncio.to_thread(next, items, _END)) is not _END:
        yield item


def from_loop(items: AsyncIterable[Got], loop: asyncio.AbstractEventLoop) -> Iterator[Got]:
    """The items of an asynchronous iterable of a loop, for another thread."""
    iterator = aiter(items)
    while some := asyncio.run_coroutine_threadsafe(_some(iterator), loop).result():
        yield from some


async def _some(items: AsyncIterator[Got]) -> list[Got]:
    some = list[Got]()
    async for item in items:
        some.append(item)
        if len(some) == _AT_ONCE:
            break
    return some
