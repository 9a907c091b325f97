"""Whether what the API stands on is there. Either may stand still and say nothing, so each question has its time, and
is asked once at a time, however many want to know and however long it hangs."""

import asyncio
import logging
from collections.abc import Collection, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

from caravan.engine.engine import Engine
from caravan.errors import Unavailable
from caravan.store.database import answers

PATIENCE = 2.0  # seconds
_log = logging.getLogger(__name__)


class Part(StrEnum):
    """What can be away."""

    DATABASE = "database"
    FILES = "files"


_SILENT = {Part.DATABASE: "PostgreSQL does not answer.", Part.FILES: "The store of files does not answer."}


class Readiness:
    """What one process can reach."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # A thread of its own: those that all share may be busy with uploads, which says nothing of the store.
        self._thread = ThreadPoolExecutor(1, "readiness")
        self._asking: dict[Part, asyncio.Task[str | None]] = {}
        self._told: dict[Part, str | None] = {}

    async def look(self, without: Collection[Part] = ()) -> list[str]:
        """A sentence for each part that does not do as it should now. Takes two seconds at most."""
        parts = [part for part in Part if part not in without]
        found = dict(zip(parts, await asyncio.gather(*map(self._answer, parts)), strict=True))
        self._log(found)
        return [sentence for sentence in found.values() if sentence is not None]

    def _log(self, found: Mapping[Part, str | None]) -> None:
        """Once, not at each look."""
        for part, sentence in found.items():
            if sentence is not None and sentence != self._told.get(part):
                _log.warning("Not ready: %s", sentence)
        self._told.update(found)

    async def _answer(self, part: Part) -> str | None:
        asking = self._asking.get(part)
        if asking is None or asking.done():
            asking = self._asking[part] = asyncio.create_task(self._ask(part))
        await asyncio.wait({asking}, timeout=PATIENCE)
        return asking.result() if asking.done() else _SILENT[part]

    def _ask(self, part: Part) -> Coroutine[None, None, str | None]:
        return self._ask_database() if part is Part.DATABASE else self._ask_files()

    async def _ask_database(self) -> str | None:
        return None if await answers(self._engine.pool, PATIENCE) else _SILENT[Part.DATABASE]

    async def _ask_files(self) -> str | None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.files.check, PATIENCE)
        except Unavailable as error:
            return error.message
        return None
