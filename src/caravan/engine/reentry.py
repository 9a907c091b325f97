"""Who may not enter a journey again is found before a file enters, and becomes a reject.

Contacts are entered in a table of their own (store/entries.py) before those of the file stand anywhere: so of two files
with the same contacts, started in the same instant, one enters each. A job that begins again finds its own rows. A
journey that lets everybody in again has none of this.
"""

import asyncio
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from caravan.engine.engine import Engine
from caravan.engine.file_job import FileJob
from caravan.engine.receipt_files import store
from caravan.intake.parts import PART_SCHEMA, ByLine, lines_of, split_off, write_part
from caravan.intake.rejects import REJECT_SCHEMA, SHOWN, RejectCode, TableFile
from caravan.journeys.reentry import Again, Reentry
from caravan.store import batches, cohorts, entries, sql
from caravan.store.batches import BatchState
from caravan.store.cohorts import Part
from caravan.store.database import Connection
from caravan.store.entries import Entrance
from caravan.store.files import Draft
from caravan.store.spans import Receipt

_Q = sql.load("caravan.engine", "reentry.sql")
_BEHIND_ALL = 2**62  # a line


def entrance(rule: Reentry, customer: int, journey: int, batch: str, now: datetime) -> Entrance:
    """What the rule says to an entry now."""
    first = Entrance(customer, journey, batch, now)
    if rule.again is Again.OUTSIDE:
        return replace(first, outside=True)
    if rule.again is Again.AFTER:
        return replace(first, before=(-rule.after).after(now), until=rule.after.after(now))
    return replace(first, until=cohorts.NEVER)


async def admit(job: FileJob, read: Receipt) -> Receipt:
    """The receipt without the contacts that may not enter, which are among its rejects."""
    engine, batch = job.engine, job.batch
    assert batch.version is not None
    async with engine.pool.connection() as connection:
        journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
    if journey.reentry.again is Again.ALWAYS or not read.parts:
        return read
    into = entrance(journey.reentry, batch.customer_id, batch.journey_id, batch.id, engine.clock.now())
    # A restart is an order: it lets its contacts in, whatever they did before.
    refused = await _enter(job, read, replace(into, force=batch.restarts is not None))
    if not refused.num_rows:
        return read
    return await asyncio.to_thread(_without, job, read, refused, journey.reentry)


async def _enter(job: FileJob, read: Receipt, into: Entrance) -> pa.Table:
    pieces = await asyncio.to_thread(lambda: list(_candidates(job, read.parts)))
    left = await _left(job, pieces, into) if into.outside and not into.force else {}
    async with job.engine.pool.connection() as connection, connection.transaction():
        await entries.offer(connection, pieces)
        for batch, contacts in left.items():
            await entries.let_out(connection, batch, contacts)
        return await entries.enter(connection, into)


async def _left(job: FileJob, pieces: Sequence[bytes], into: Entrance) -> dict[str, list[str]]:
    """Those who entered by batches that have not ended, and have left the journey all the same: hashes by batch. Files
    are read for that, so no transaction is open meanwhile; who enters by another batch until then is not let out."""
    async with job.engine.pool.connection() as connection, connection.transaction():
        await entries.offer(connection, pieces)
        others = await entries.of_others(connection, into)
    left = {}
    for batch, some in others.items():
        async with job.engine.pool.connection() as connection:
            left[batch] = sorted(some - await inside(job.engine, connection, batch, some))
    return left


def _candidates(job: FileJob, parts: Sequence[Part]) -> Iterator[bytes]:
    """The contacts of these files as lines for COPY: hash and line number. Blocks."""
    with closing(duckdb.connect(config={"threads": 1})) as duck:
        for part in parts:
            job.go_on()
            with job.engine.files.local(part.file) as path:
                table = pq.read_table(path, columns=["line", "id"])
            duck.register("contacts", table)
            found = duck.sql(_Q.candidates).to_arrow_table()["row"]
            yield ("\n".join(found.to_pylist()) + "\n").encode()


async def inside(engine: Engine, connection: Connection, batch: str, contacts: Collection[str]) -> set[str]:
    """Which of these contacts (hashes), who entered by a batch that has not ended, are still in the journey."""
    found = await batches.get(connection, batch)
    if found.state != BatchState.RUNNING:
        return set(contacts) if not found.ended else set()
    waiting = await entries.waiting(connection, batch)
    files = [each.file for each in await cohorts.standing(connection, batch)]
    return set(contacts) & (waiting | await asyncio.to_thread(_standing, engine, files, contacts))


def _standing(engine: Engine, files: Sequence[str], contacts: Collection[str]) -> set[str]:
    """Which of these contacts (hashes) are in one of the files. Blocks."""
    found = set[str]()
    with closing(duckdb.connect(config={"threads": 1})) as duck:
        duck.register("wanted", pa.table({"hash": pa.array(sorted(contacts), pa.string())}))
        for file in files:
            with engine.files.local(file) as path:
                table = pq.read_table(path, columns=["id"])
            duck.register("contacts", table)
            found.update(each for (each,) in duck.sql(_Q.standing).fetchall())
    return found


def _without(job: FileJob, read: Receipt, refused: pa.Table, rule: Reentry) -> Receipt:
    """The same receipt with these contacts as rejects. Blocks."""
    lines = refused["line"].to_numpy()
    rejects = TableFile(job.folder / "refused.parquet", REJECT_SCHEMA)
    parts = list[Part]()
    with ExitStack() as stack:
        draft = stack.enter_context(Draft(job.engine.files))
        path = stack.enter_context(job.engine.files.local(read.rejects)) if read.rejects else None
        before = stack.enter_context(ByLine(path, REJECT_SCHEMA))
        for number, part in enumerate(read.parts):
            job.go_on()
            with job.engine.files.local(part.file) as local:
                contacts = pq.read_table(local, schema=PART_SCHEMA)
            stay, gone = split_off(contacts, np.isin(contacts["line"].to_numpy(), lines))
            told = pa.concat_tables([before.up_to(contacts["line"][-1].as_py()), _told(gone, refused, rule)])
            rejects.append(told.sort_by("line"))
            parts += _kept(job, draft, number, stay) if gone.num_rows else [part]
        rejects.append(before.up_to(_BEHIND_ALL))
        made = rejects.close()
        assert made is not None
        counts = {**read.rejected, RejectCode.REENTRY_REFUSED.value: refused.num_rows}
        return replace(read, parts=parts, rejected=counts, rejects=store(draft, job.batch, made, "rejects"))


def _kept(job: FileJob, draft: Draft, number: int, contacts: pa.Table) -> list[Part]:
    part = write_part(job.folder / f"admitted-{number}.parquet", contacts)
    if part is None:
        return []
    return [Part(store(draft, job.batch, part.path, "cohort", lines_of(part.path)), part.size)]


def _told(contacts: pa.Table, refused: pa.Table, rule: Reentry) -> pa.Table:
    """Contacts that may not enter, as rejects."""
    some = refused.take(pa.array(np.searchsorted(refused["line"].to_numpy(), contacts["line"].to_numpy())))
    earlier = zip(some["batch"].to_pylist(), some["entered_at"].to_pylist(), strict=True)

    def row(each: dict[str, Any]) -> str:
        return f'{{"id": {json.dumps(each["id"], ensure_ascii=False)}, "properties": {each["properties"]}}}'[:SHOWN]

    found = [
        {
            "line": each["line"],
            "offset": -1,
            "code": RejectCode.REENTRY_REFUSED.value,
            "message": sentence(each["id"], batch, at, rule),
            "row": row(each),
        }
        for each, (batch, at) in zip(contacts.to_pylist(), earlier, strict=True)
    ]
    return pa.Table.from_pylist(found, schema=REJECT_SCHEMA)


def sentence(id: str, batch: str, at: str, rule: Reentry) -> str:
    """Why a contact may not enter, which entered by a batch at a time in UTC."""
    entered = f"The contact {id!r} entered this journey at {at} UTC by batch {batch}"
    match rule.again:
        case Again.OUTSIDE:
            return f"{entered} and has not left it."
        case Again.AFTER:
            return f"{entered}; it may enter again {rule.text} later."
        case _:
            return f"{entered}, which it may do once."
