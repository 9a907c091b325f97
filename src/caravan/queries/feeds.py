"""Things that are watched: one poller for each of them and process feeds all who watch it, and stops with the last."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from caravan.errors import CaravanError

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Look = Callable[[], Awaitable[T]]
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watched(Generic[T]):
    """One thing that is watched."""

    watchers: int = 0
    latest: T | CaravanError | None = None
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    poller: asyncio.Task[None] | None = None


class Feeds(Generic[K, T]):
    """The things of one kind that are watched in this process, by their keys.

    `look_at` makes for each poller the function that looks; `is_last` tells after which value there is nothing more to
    see; `every` is the time between the beginnings of two looks in seconds, if a look takes less.
    """

    def __init__(self, look_at: Callable[[K], Look[T]], is_last: Callable[[T], bool], every: float) -> None:
        self._look_at, self._is_last, self._every = look_at, is_last, every
        self._watched: dict[K, _Watched[T]] = {}

    @property
    def pollers(self) -> int:
        """How many things are polled just now."""
        return len(self._watched)

    async def follow(self, key: K) -> AsyncIterator[T]:
        """The thing now and after each look, until the last one. Raises what a look raises, if it is a
        `CaravanError`; while PostgreSQL is away nothing comes."""
        async with self._joined(key) as watched:
            told: T | None = None
            while told is None or not self._is_last(told):
                told = await self._next(watched, told)
                yield told

    async def _next(self, watched: _Watched[T], told: T | None) -> T:
        async with watched.changed:
            await watched.changed.wait_for(lambda: watched.latest is not None and watched.latest is not told)
        if isinstance(watched.latest, CaravanError):
            raise watched.latest
        assert watched.latest is not None
        return watched.latest

    @asynccontextmanager
    async def _joined(self, key: K) -> AsyncIterator[_Watched[T]]:
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = _Watched()
            watched.poller = asyncio.create_task(self._poll(key, watched))
        watched.watchers += 1
        try:
            yield watched
        finally:
            watched.watchers -= 1
            if watched.watchers == 0 and self._watched.get(key) is watched:
                del self._watched[key]
                assert watched.poller is not None
                watched.poller.cancel()

    async def _poll(self, key: K, watched: _Watched[T]) -> None:
        look = self._look_at(key)
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._every
            latest = await _looked(look, key)
            if latest is not None:
                async with watched.changed:
                    watched.latest = latest
                    watched.changed.notify_all()
                if isinstance(latest, CaravanError) or self._is_last(latest):
                    break
            await asyncio.sleep(due - loop.time())
        with suppress(KeyError):  # a watcher that comes from now on looks for itself
            if self._watched[key] is watched:
                del self._watched[key]


async def _looked(look: Look[T], key: Hashable) -> T | CaravanError | None:
    """What there is to see; None while PostgreSQL is away, so that the watchers wait for it too."""
    try:
        return await look()
    except CaravanError as error:
        return error
    except Exception as error:
        _log.warning("Can't look at %s just now: %s", key, " ".join(str(error).split()))
        return None
