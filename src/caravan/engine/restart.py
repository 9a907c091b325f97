"""Starting again: a new batch of those contacts of a batch that left a step with some outcome.

It has no file. The journal of the other batch says who they are, and the files of its first cohorts how they entered;
no row is parsed once more, so ids and properties are the same to the byte. From there on it is read and entered like
any batch: a worker that dies in between leaves nothing behind, and the next one begins again.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from caravan.engine.engine import Engine
from caravan.engine.expiry import restarted_until
from caravan.engine.file_job import FileJob
from caravan.errors import Conflict, FileFailed, FileFailure, Gone, InvalidInput
from caravan.intake.limits import BLOCK_BYTES
from caravan.intake.parts import PART_SCHEMA, Part, write_part
from caravan.intake.receipt import Receipt
from caravan.store import batches, cohorts, journal, journeys, ledger
from caravan.store.batches import Batch, Choice, Starter
from caravan.store.cohorts import CONTACTS
from caravan.store.database import Connection, snapshot
from caravan.store.files import Files
from caravan.store.journal import Entry
from caravan.store.ledger import Outcome

Lines = NDArray[np.int64]


async def restart(
    engine: Engine,
    connection: Connection,
    customer: int,
    batch_id: str,
    outcome: str,
    step: str | None = None,
    *,
    freeze_waits: bool = False,
    hold: bool = False,
    expires: str | None = None,
) -> Batch:
    """A new batch of the contacts that have left this step, or any step, of a batch with this outcome by now; each of
    them once, in the newest version of the journey. It expires as that batch does, unless `expires` says otherwise.

    Raises `InvalidInput` for an outcome or a step that there is not and for an `expires` that can't be, `Gone` if the
    contacts were deleted, and `Conflict` if there are none or the batch has expired.
    """
    async with connection.transaction():
        seen = await batches.of_customer(connection, customer, batch_id)
        await journeys.share(connection, customer, seen.journey_id)  # before its batches, as a pause of it does
        batch = await batches.lock(connection, batch_id)
        chosen = await choose(engine, connection, batch, outcome, step)
        until = restarted_until(engine, batch, expires)
        made = await batches.add_restart(
            connection, batch, chosen, engine.clock.now(), freeze_waits=freeze_waits, hold=hold, sends_until=until
        )
        await engine.jobs.read(connection, made.id)
        return made


async def choose(engine: Engine, connection: Connection, batch: Batch, outcome: str, step: str | None) -> Choice:
    """Those who have left a batch's step, or any step, with an outcome by now. Raises as `restart` does."""
    if outcome not in tuple(Outcome):
        raise InvalidInput(f"There is no outcome {outcome!r}. There are {', '.join(Outcome)}.")
    if batch.forgotten_at is not None:
        raise Gone(f"The contacts of batch {batch.id} were deleted on {batch.forgotten_at:%Y-%m-%d}; its ledger stays.")
    if step is not None:
        await _check_step(engine, connection, batch, step)
    left = await ledger.outcomes(connection, batch.id, step)
    if not left.get(outcome):
        where = "a step" if step is None else f"the step {step}"
        told = ", ".join(f"{contacts:,} {each}" for each, contacts in left.items())
        instead = f"There were {told}." if told else "None has left it at all."
        raise Conflict(f"No contact of batch {batch.id} has left {where} as {outcome}. {instead}")
    return Choice(batch.id, outcome, step, await journal.last(connection, batch.id))


async def _check_step(engine: Engine, connection: Connection, batch: Batch, step: str) -> None:
    if batch.version is None:
        raise Conflict(f"Batch {batch.id} is {batch.shown_state}; no contact has entered it.")
    found = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
    good = [each.id for each in found.steps]
    if step not in good:
        raise InvalidInput(f"There is no step {step!r} in its journey. There are {', '.join(good)}.")


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where chosen contacts are to be read from."""

    batch: Batch
    outcome: str
    entries: list[Entry]  # of its journal
    files: list[str]  # of contacts as they entered


async def count(engine: Engine, chosen: Choice) -> int:
    """How many contacts a restart would start again with: one that left several steps so counts once."""
    origin = await _origin(engine, chosen)
    return len(await asyncio.to_thread(_lines, engine.files, origin))


async def read_chosen(job: FileJob, chosen: Choice) -> Receipt:
    """Read the chosen contacts into parts of the new batch. Raises `FileFailed` if any of them is there no more."""
    try:
        origin = await _origin(job.engine, chosen)
        return await asyncio.to_thread(_read, job, origin)
    except FileNotFoundError:  # forgotten meanwhile
        raise _lost(chosen.batch) from None


async def _origin(engine: Engine, chosen: Choice) -> _Origin:
    async with snapshot(engine.pool) as connection:
        batch = await batches.get(connection, chosen.batch)
        if batch.version is None or batch.forgotten_at is not None:
            raise _lost(batch.id)
        found = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
        entries = await journal.entries(connection, batch.id, chosen.step, [chosen.outcome])
        files = await cohorts.entered_files(connection, batch.id, found.entry.id)
    return _Origin(batch, chosen.outcome, [each for each in entries if each.id <= chosen.upto], files)


def _lost(batch: str) -> FileFailed:
    return FileFailed(FileFailure.UNREADABLE, f"The contacts of batch {batch} are not all kept any more.")


def _read(job: FileJob, origin: _Origin) -> Receipt:
    wanted = _lines(job.engine.files, origin, job)
    tables = _contacts(job, origin, wanted)
    parts = list(_parts(job.folder, tables, job.engine.settings.cohort_size))
    if sum(part.size for part in parts) != len(wanted):
        raise _lost(origin.batch.id)
    return Receipt(lines=len(wanted), blank=0, rejected={}, parts=parts, rejects=None)


def _lines(files: Files, origin: _Origin, job: FileJob | None = None) -> Lines:
    """The lines of the chosen contacts, each once, in order. A contact that entered several times by single start is
    chosen with the last of those of its entries that left so."""
    tables = [journal.LEFT.empty_table()]
    for entry in origin.entries:
        if job is not None:
            job.go_on()
        found = journal.read_left(files, entry, origin.outcome)
        tables.append(found if origin.batch.starter == Starter.SINGLE else found.select(["line"]))
    if origin.batch.starter == Starter.SINGLE:
        all_lines = pa.concat_tables(tables).group_by("contact").aggregate([("line", "max")])["line_max"]
    else:
        all_lines = pa.concat_tables([each.select(["line"]) for each in tables])["line"]
    return np.unique(all_lines.to_numpy())


def _contacts(job: FileJob, origin: _Origin, wanted: Lines) -> Iterator[pa.Table]:
    """The contacts of these lines, from the files that have them first."""
    missing = np.ones(len(wanted), np.bool_)
    for file in origin.files:
        job.go_on()
        if not missing.any():
            return
        try:
            with job.engine.files.local(file, job.go_on) as path:
                found = _of_file(path, wanted, missing)
        except FileNotFoundError:  # one that may be gone; if it was needed, somebody is missing in the end
            continue
        if found is not None:
            yield found


def _of_file(path: Path, wanted: Lines, missing: NDArray[np.bool_]) -> pa.Table | None:
    """The contacts in a file that are still missing, which they are no longer."""
    lines = pq.read_table(path, columns=["line"])["line"].to_numpy()
    places = np.minimum(np.searchsorted(wanted, lines), len(wanted) - 1)
    taken = (wanted[places] == lines) & missing[places]
    if not taken.any():
        return None
    missing[places[taken]] = False
    return pq.read_table(path, columns=CONTACTS.names).filter(pa.array(taken))


def _parts(folder: Path, tables: Iterable[pa.Table], size: int) -> Iterator[Part]:
    """Parts of at most `size` contacts, and of about as much text as parts of a file have. Their lines are counted
    anew."""
    number, line = 0, 1
    for table in _cut(tables, size):
        lines = pa.array(np.arange(line, line + table.num_rows))
        contacts = table.set_column(0, "line", lines).cast(PART_SCHEMA)
        part = write_part(folder / f"restart-{number}.parquet", contacts)
        if part is not None:
            yield part
        number, line = number + 1, line + table.num_rows


def _cut(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    kept = CONTACTS.empty_table()
    for table in tables:
        if kept.nbytes + table.nbytes > BLOCK_BYTES:
            yield kept
            kept = CONTACTS.empty_table()
        kept = pa.concat_tables([kept, table.cast(CONTACTS)])
        while kept.num_rows >= size:
            yield kept.slice(0, size)
            kept = kept.slice(size)
    yield kept
