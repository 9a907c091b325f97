"""Whom messages did not reach, or perhaps not: how many for which reason, and who they are."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from time import monotonic

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caravan.engine.engine import Engine
from caravan.queries.journal import Filter, Line, lines_of
from caravan.queries.tallies import Sizes, Tallies
from caravan.store import journal as journal_store
from caravan.store.database import single
from caravan.store.files import Files
from caravan.store.journal import Entry
from caravan.store.ledger import UNREACHED

_KINDS = 1_000  # of reasons that are told apart
_AT_ONCE = 500  # entries of the journal that are asked for at once
_WINDOWS_KEPT = 10_000  # windows of cohorts under way whose failures are kept
_WINDOWS = 2**62  # the place of those that no entry tells of yet
#: What replies hold of the one message that they are about, and what stands for it: addresses, and names of messages.
_OWN = (r"<[^<>\s]*>|[^\s<>()]+@[^\s<>()]+", r"\b(?:[0-9]+[A-Za-z]|[A-Za-z]+[0-9])[0-9A-Za-z._-]{7,}")
_SAME = "…"


@dataclass(frozen=True, slots=True)
class Reason:
    """What the other side said, without what concerns one contact alone, or why nothing was sent."""

    step: str
    outcome: str
    words: str
    contacts: int


@dataclass(frozen=True, slots=True)
class Reasons:
    """The most frequent reasons, and how many contacts there are of all others. Not `whole`: more of the journal is
    still to be read."""

    found: list[Reason]
    others: int
    whole: bool

    @property
    def contacts(self) -> int:
        """All of them; a contact counts at each step that did not reach it."""
        return sum(each.contacts for each in self.found) + self.others


@dataclass(frozen=True, slots=True)
class Chosen:
    """Some failures; None takes all."""

    step: str | None = None
    outcome: str | None = None
    words: str | None = None

    @property
    def filter(self) -> Filter:
        """The lines of the journal among which they are."""
        return Filter(self.step, tuple(UNREACHED) if self.outcome is None else (self.outcome,))


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a batch's failures: behind so many rows of an entry of its journal, where those that no entry tells of
    yet come last."""

    entry: int = 0
    row: int = 0

    def __str__(self) -> str:
        return f"{self.entry}-{self.row}"


@dataclass(frozen=True, slots=True)
class Some:
    """A page of a batch's failures, and where the next one begins; None: there are no more. It may be shorter than was
    asked for, or empty, where they are rare: there is a limit to what is looked through at once."""

    lines: list[Line]
    following: Place | None


Unsettled = list[tuple[str, pa.Table]]  # (step, rows of JOURNAL)
Key = tuple[str, str, str] | None  # step, outcome and words of a reason; None: those for which there is no room


class FailureReasons:
    """Why contacts were not reached, of the batches that are looked at in this process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tallies = Tallies[Key](engine, _count_entry, _add)
        self._read: dict[bytes, pa.Table | None] = {}  # by digests of windows, which are many and change seldom

    async def of(self, batch: str, limit: int, *, seconds: float, age: float = 0.0) -> tuple[Reasons, Unsettled]:
        """The reasons, the most frequent first, `limit` at most, as far as they can be read in so many seconds, and
        what no entry of the journal tells of yet."""
        read = await self._tallies.of(batch, seconds=seconds, age=age)
        async with single(self._engine.pool) as connection:  # afterwards: what has moved meanwhile is not told twice
            windows = await journal_store.windows_of_batch(connection, batch, None)
        unsettled = await asyncio.to_thread(self._unreached, windows)
        counts = Counter[Key](read.counts)
        for step, table in unsettled:
            _add(counts, _count(step, table))
        others = counts.pop(None, 0)
        found = [Reason(*key, contacts) for key, contacts in counts.most_common() if key is not None and contacts]
        return Reasons(found[:limit], others + sum(each.contacts for each in found[limit:]), read.whole), unsettled

    def _unreached(self, windows: list[tuple[str, bytes]]) -> Unsettled:
        """The failures among the windows, those of a step that follow each other in one table."""
        found = []
        for step, record in windows:
            digest = blake2b(record, digest_size=16).digest()
            if digest not in self._read:
                if len(self._read) >= _WINDOWS_KEPT:
                    self._read.clear()
                ((_, table),) = journal_store.read_settled([(step, record)])
                left = table.filter(_is_unreached(table))
                self._read[digest] = left if left.num_rows else None
            if (known := self._read.get(digest)) is not None:
                found.append((step, known))
        return [
            (step, pa.concat_tables([table for _, table in some])) for step, some in groupby(found, key=itemgetter(0))
        ]


async def failures(
    engine: Engine, batch: str, chosen: Chosen, place: Place, limit: int, seconds: float, unsettled: Unsettled
) -> Some:
    """Some of a batch's failures in the order of its journal: `limit` of them from a place on, as far as they can be
    found in so many seconds. Those that are `unsettled` come last."""
    until = monotonic() + seconds
    found: list[Line] = []
    while place.entry < _WINDOWS:
        async with single(engine.pool) as connection:
            entries = await journal_store.entries_after(connection, batch, place.entry - 1, _AT_ONCE)
        for entry in entries:
            row = place.row if entry.id == place.entry else 0
            if _can_hold(entry, chosen):
                row = await asyncio.to_thread(_take, engine.files, entry, chosen, row, limit, found)
            if len(found) >= limit or monotonic() >= until:
                return Some(found, Place(entry.id + (row < 0), max(0, row)))
            place = Place(entry.id + 1)
        if len(entries) < _AT_ONCE:
            place = Place(_WINDOWS)
    room = limit - len(found)
    rest = await asyncio.to_thread(_rest, unsettled, chosen, place.row, room + 1)
    more = Place(_WINDOWS, place.row + room) if len(rest) > room else None
    return Some(found + rest[:room], more)


def _rest(unsettled: Unsettled, chosen: Chosen, after: int, limit: int) -> list[Line]:
    found: list[Line] = []
    for step, table in unsettled:
        if chosen.step in (None, step):
            matching = _chosen(table, chosen)
            found += lines_of(step, matching.slice(after, limit - len(found)))
            after = max(0, after - matching.num_rows)
    return found


def _can_hold(entry: Entry, chosen: Chosen) -> bool:
    wanted = chosen.filter
    return wanted.step in (None, entry.step) and (entry.outcome is None or entry.outcome in wanted.outcomes)


def _take(files: Files, entry: Entry, chosen: Chosen, row: int, limit: int, found: list[Line]) -> int:
    """Add those of an entry behind its first `row` to what was found, up to the limit; behind which row that was, or -1
    where the entry has no more. Blocks."""
    skipped = 0
    try:
        for table in journal_store.read_entry(files, entry):
            matching = _chosen(table, chosen)
            begin = max(0, row - skipped)
            kept = matching.slice(begin, limit - len(found))
            found += lines_of(entry.step, kept)
            if len(found) >= limit:
                return skipped + begin + int(kept.num_rows)
            skipped += matching.num_rows
    except FileNotFoundError:  # it was deleted with the contacts
        pass
    return -1


def _chosen(table: pa.Table, chosen: Chosen) -> pa.Table:
    found = table.filter(pc.is_in(table["outcome"], pa.array(chosen.filter.outcomes, pa.string())))
    return found if chosen.words is None else found.filter(pc.equal(reply_words(found), chosen.words))


def _count_entry(files: Files, entry: Entry, sizes: Sizes) -> Counter[Key]:
    if not _can_hold(entry, Chosen()):
        return Counter()
    with files.local(entry.file) as path:
        if entry.outcome is None:
            return _count(entry.step, pq.read_table(path, columns=["outcome", "detail"]))
        contacts = pq.read_metadata(path).num_rows
    told = pa.table({"outcome": [entry.outcome], "detail": pa.array([entry.detail], pa.string())})
    return Counter(dict.fromkeys(_count(entry.step, told), contacts))


def _count(step: str, table: pa.Table) -> Counter[Key]:
    """How many contacts of a table with outcome and detail for which reason."""
    left = table.select(["outcome", "detail"]).filter(_is_unreached(table))
    same = left.group_by(["outcome", "detail"]).aggregate([([], "count_all")])  # most details are the same
    kinds = pa.table({"outcome": same["outcome"], "words": reply_words(same), "count": same["count_all"]})
    found = kinds.group_by(["outcome", "words"]).aggregate([("count", "sum")])
    columns = (found["outcome"].to_pylist(), found["words"].to_pylist(), found["count_sum"].to_pylist())
    return Counter({(step, outcome, words): count for outcome, words, count in zip(*columns, strict=True)})


def _is_unreached(table: pa.Table) -> pa.ChunkedArray:
    return pc.is_in(table["outcome"], pa.array([*UNREACHED], pa.string()))


def _add(counts: Counter[Key], more: Counter[Key]) -> None:
    """Add to the counts; those of reasons for which there is no room are told together."""
    for key, contacts in more.items():
        counts[key if key in counts or len(counts) < _KINDS else None] += contacts


def reply_words(table: pa.Table) -> pa.ChunkedArray:
    """The details of a journal's table without what concerns one contact alone."""
    words = pc.fill_null(table["detail"], "")
    for pattern in _OWN:
        words = pc.replace_substring_regex(words, pattern, _SAME)
    return words
