"""Entering: what reading made of a file is committed, and everybody stands at the journey's first step at once."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from caravan.engine.advance import finish_if_empty, open_cohorts, step_of
from caravan.engine.engine import Engine
from caravan.errors import FileFailed
from caravan.intake import receipt as intake
from caravan.intake.parse import hash_family
from caravan.intake.parts import Part as LocalPart
from caravan.intake.parts import lines_of
from caravan.store import batches, spans
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import Opening, Part, with_lines
from caravan.store.files import Draft
from caravan.store.spans import Receipt

_PUTS_AT_ONCE = 4


async def enter(engine: Engine, batch: Batch, read: Receipt, failure: FileFailed | None) -> bool:
    """Commit the ledger's first lines of a whole file, and the cohorts at the first step, or why there are none. False
    if the batch no longer awaits that."""
    async with engine.pool.connection() as connection, connection.transaction():
        now = engine.clock.now()
        current = await batches.lock(connection, batch.id)
        if current.state != BatchState.READING:
            return False
        await batches.set_read(connection, batch.id, read)
        await spans.delete_of_batch(connection, batch.id)
        if failure is not None:
            await batches.end(connection, batch.id, BatchState.FAILED, now, code=failure.code, error=failure.message)
            return True
        current = await batches.set_running(connection, batch.id, now)
        assert batch.version is not None
        journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
        first = journey.entry.id
        due = step_of(journey, first).due(now)
        openings = [Opening(first, part, visit=0, due_at=due) for part in read.parts]
        await open_cohorts(engine, connection, current, journey, openings)
        await finish_if_empty(connection, await batches.get(connection, batch.id), now)
        return True


def store_receipt(draft: Draft, batch: Batch, read: intake.Receipt) -> Receipt:
    """Put all files of a receipt into the store. Blocks."""
    return Receipt(
        lines=read.lines,
        blank=read.blank,
        rejected={code.value: count for code, count in read.rejected.items()},
        parts=store_parts(draft, batch, read.parts),
        rejects=store(draft, batch, read.rejects, "rejects") if read.rejects else None,
        ids=store(draft, batch, read.ids, "ids") if read.ids else None,
        hash_family=hash_family() if read.ids else "",
    )


def store_parts(draft: Draft, batch: Batch, parts: list[LocalPart]) -> list[Part]:
    """Put cohort files into the store: some at once, for a store that is far away. Blocks."""
    with ThreadPoolExecutor(_PUTS_AT_ONCE) as pool:
        names = pool.map(lambda each: store(draft, batch, each.path, "cohort", lines_of(each.path)), parts)
        return [Part(name, part.size) for name, part in zip(names, parts, strict=True)]


def store(draft: Draft, batch: Batch, path: Path, kind: str, lines: tuple[int, int] | None = None) -> str:
    """Move a file that nothing names yet into the batch's folder of the store; its name there, with the lines that it
    has if they are given. Blocks."""
    name = f"{batch.folder}/{kind}-{path.stem}-{secrets.token_hex(4)}.parquet"
    if lines is not None:
        name = with_lines(name, *lines)
    draft.put(path, name)
    return name
