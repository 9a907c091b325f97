"""Counts over the journal of a batch, for pages that are looked at again and again.

The journal of a batch is only added to, one move after the other, and its files never change: so each entry is read
once in each process, and from then on only those that are new. Contacts of a cohort that is still being sent are told
once it has moved.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from caravan.engine.engine import Engine
from caravan.errors import CaravanError
from caravan.store import journal
from caravan.store.database import AWAY, single
from caravan.store.files import Files
from caravan.store.journal import Entry

_KEPT = 128  # batches whose numbers are kept
_AT_ONCE = 500  # entries that are asked for at once
K = TypeVar("K", bound=Hashable)
Sizes = dict[str, int]  # rows of files, which contacts carry from step to step
Count = Callable[[Files, Entry, Sizes], Counter[K]]  # what one entry tells; it may block


@dataclass(frozen=True)  # a generic one that is frozen can't have slots: it is told its type when it is made
class Tally(Generic[K]):
    """How many contacts for each key. Not `whole`: there is more to be read yet."""

    counts: dict[K, int]
    whole: bool


@dataclass(slots=True)
class _Known(Generic[K]):
    """What has been read of a batch."""

    last: int = 0  # the last entry
    counts: Counter[K] = field(default_factory=Counter)
    sizes: Sizes = field(default_factory=dict)
    told: Tally[K] | None = None
    looked: float = 0.0  # when, in monotonic seconds
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Tallies(Generic[K]):
    """The counts of the batches that are looked at in this process. `merge` adds what an entry tells to what is
    known."""

    def __init__(
        self, engine: Engine, count: Count[K], merge: Callable[[Counter[K], Counter[K]], None] = Counter.update
    ) -> None:
        self._engine, self._count, self._merge = engine, count, merge
        self._known: OrderedDict[str, _Known[K]] = OrderedDict()

    async def of(self, batch: str, *, seconds: float, age: float) -> Tally[K]:
        """The counts of a batch, as far as its journal can be read in so many seconds; all who ask get the same while
        it is not older than `age` seconds."""
        known = self._known.setdefault(batch, _Known())
        self._known.move_to_end(batch)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        now = asyncio.get_running_loop().time
        async with known.lock:
            if known.told is None or now() - known.looked >= age:
                whole = await self._read(batch, known, now() + seconds)
                known.looked, known.told = now(), Tally(dict(known.counts), whole)
            return known.told

    async def _read(self, batch: str, known: _Known[K], until: float) -> bool:
        """Read on; whether everything has been read. A store or a database that is away is asked again
        the next time."""
        now = asyncio.get_running_loop().time
        while True:
            try:
                async with single(self._engine.pool) as connection:
                    found = await journal.entries_after(connection, batch, known.last, _AT_ONCE)
            except AWAY:
                return False
            for entry in found:
                if now() >= until:
                    return False
                try:
                    counted = await asyncio.to_thread(self._count, self._engine.files, entry, known.sizes)
                except FileNotFoundError:  # it was deleted with the contacts
                    counted = Counter()
                except (CaravanError, OSError):
                    return False
                self._merge(known.counts, counted)
                known.last = entry.id
            if len(found) < _AT_ONCE:
                return True
