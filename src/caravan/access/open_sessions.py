"""Sessions that hold a stream open: each ends with its session, within seconds. One query asks for all of a process."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from caravan.access.sessions import AGE, IDLE, digest_of
from caravan.engine.engine import Engine
from caravan.store import sessions
from caravan.store.database import single

LOOK_EVERY = 10.0  # seconds
_log = logging.getLogger(__name__)
_Key = tuple[bytes, int | None]  # a session's digest, and the customer whose page it looks at


@dataclass(slots=True)
class _Watched:
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    streams: int = 0


class OpenSessions:
    """The sessions of the streams that this process serves."""

    def __init__(self, engine: Engine, every: float = LOOK_EVERY) -> None:
        self._engine, self._every = engine, every
        self._watched: dict[_Key, _Watched] = {}
        self._task: asyncio.Task[None] | None = None
        self.looks = Counter[int]()  # queries by how many sessions each asked for

    @asynccontextmanager
    async def watched(self, token: str, customer: int | None) -> AsyncIterator[asyncio.Event]:
        """While the block lasts: what is set as soon as the session has ended, or its user has lost the customer."""
        key = (digest_of(token), customer)
        known = self._watched.setdefault(key, _Watched())
        known.streams += 1
        if self._task is None:
            self._task = asyncio.create_task(self._look_again_and_again())
        try:
            yield known.ended
        finally:
            known.streams -= 1
            if known.streams == 0 and self._watched.get(key) is known:
                del self._watched[key]
            if not self._watched and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _look_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self._look()
            except Exception as error:  # while PostgreSQL is away, nothing comes through the streams either
                _log.warning("Can't look at the sessions of streams just now: %s", " ".join(str(error).split()))

    async def _look(self) -> None:
        asked = list(self._watched)
        self.looks[len(asked)] += 1
        now = self._engine.clock.now()
        async with single(self._engine.pool) as connection:
            alive = await sessions.still_open(connection, asked, now - IDLE, now - AGE)
        for key in asked:
            if key not in alive and (gone := self._watched.pop(key, None)) is not None:
                gone.ended.set()
