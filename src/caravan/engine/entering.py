"""Entering: what reading made of a file is committed, and everybody stands at the journey's first step at once."""

import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from caravan.engine.advance import finish_if_empty, open_cohorts, step_of
from caravan.engine.engine import Engine
from caravan.errors import FileFailed
from caravan.intake import parts as intake
from caravan.store import batches, spans, sql
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import Opening, Part
from caravan.store.database import Connection
from caravan.store.files import Draft

_PUTS_AT_ONCE = 4
_Q = sql.load("caravan.store", "batches.sql")


@dataclass(frozen=True, slots=True)
class Entry:
    """A whole file as it was read, its cohorts and rejects in the store."""

    lines: int
    blank: int
    rejected: Mapping[str, int]
    parts: list[Part]  # in the order of the lines
    rejects: str | None
    failure: FileFailed | None  # nobody enters

    @property
    def entered(self) -> int:
        return sum(part.size for part in self.parts)


async def enter(engine: Engine, batch: Batch, entry: Entry) -> bool:
    """Commit the ledger's first lines, and the cohorts at the first step; False if nobody waits for that any more."""
    async with engine.pool.connection() as connection, connection.transaction():
        now = engine.clock.now()
        current = await batches.lock(connection, batch.id)
        if current.state != BatchState.READING:
            return False
        await _write(connection, batch, entry)
        await spans.delete_of_batch(connection, batch.id)
        if entry.failure is not None:
            code, sentence = entry.failure.code, entry.failure.message
            await batches.end(connection, batch.id, BatchState.FAILED, now, code=code, error=sentence)
            return True
        await connection.execute(_Q.set_running, {"id": batch.id, "now": now})
        assert batch.version is not None
        journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
        first = journey.entry.id
        due = step_of(journey, first).due(now)
        openings = [Opening(first, part, visit=0, due_at=due) for part in entry.parts]
        await open_cohorts(engine, connection, current, journey, openings)
        await finish_if_empty(connection, await batches.get(connection, batch.id), now)
        return True


async def _write(connection: Connection, batch: Batch, entry: Entry) -> None:
    counts = {"lines": entry.lines, "blank": entry.blank, "entered": entry.entered}
    await connection.execute(_Q.set_read, {"id": batch.id, **counts, "rejects": entry.rejects})
    for code, contacts in entry.rejected.items():
        await connection.execute(_Q.add_rejected, {"id": batch.id, "code": code, "contacts": contacts})


def store_parts(draft: Draft, batch: Batch, parts: list[intake.Part]) -> list[Part]:
    """Put cohort files into the store: some at once, for a store that is far away. Blocks."""
    with ThreadPoolExecutor(_PUTS_AT_ONCE) as pool:
        names = pool.map(lambda each: store(draft, batch, each.path, "cohort"), parts)
        return [Part(name, part.size) for name, part in zip(names, parts, strict=True)]


def store(draft: Draft, batch: Batch, path: Path, kind: str) -> str:
    """Move a file that nobody knows yet into the batch's folder of the store; its name there. Blocks."""
    name = f"{batch.folder}/{kind}-{path.stem}-{secrets.token_hex(4)}.parquet"
    draft.put(path, name)
    return name
