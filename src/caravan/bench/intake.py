"""`bench intake`: an uploaded file becomes durable, validated, deduplicated cohorts.

What runs is the job `read` itself: `engine/reading.py: read`, on an embedded PostgreSQL of its own, with fsync.
"""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from caravan.bench.duck_reader import into_one_parquet
from caravan.bench.inputs import SHAPES, Made, Shape, write_file
from caravan.bench.measure import Pairs, Run, Timed, in_child, in_turn, now
from caravan.bench.report import Finding, Report
from caravan.bench.system import JOURNEY, check_ledger, workspace
from caravan.bootstrap import open_engine
from caravan.clock import Clock
from caravan.engine import reading, start
from caravan.engine.publish import publish
from caravan.intake.expand import Encoding
from caravan.queries.batch import batch_report
from caravan.server.embedded import embedded
from caravan.server.shares import share, worker_count
from caravan.settings import Settings, read_settings
from caravan.store.customers import add_customer
from caravan.store.database import single
from caravan.store.migrate import migrate

_JOURNEY = f"journey: {JOURNEY}\nname: Bench\nsteps:\n  - id: rest\n    wait: 1 day\n"
YARDSTICK = (
    "DuckDB in a process of its own, as many threads: read_json of two columns, errors ignored, into one Parquet "
    "file without fsync; it validates nothing, tells no rejects, finds no duplicates"
)


@dataclass(frozen=True, slots=True)
class Place:
    """An installation without processes: where a batch can be read."""

    settings: Settings
    customer: int


def run(rows: int, variants: list[str], repeats: int, say: Callable[[str], None]) -> Report:
    """All variants. Raises `Unbalanced` when a ledger is not what it must be."""
    with workspace() as folder, embedded(folder, wait=True) as url:
        place = asyncio.run(_prepare(_settings(folder, url)))
        findings = [_compare(place, folder, rows, SHAPES[name], repeats, say) for name in variants]
    return Report("intake", rows, YARDSTICK, findings)


def _settings(folder: Path, url: str) -> Settings:
    """As they are set for a worker, but in this folder and database."""
    settings = read_settings(data=folder, database_url=url).model_copy(update={"files_url": None})
    return share(settings, worker_count(settings))


async def _prepare(settings: Settings) -> Place:
    async with open_engine(settings) as (engine, _):
        async with engine.pool.connection() as connection:
            await migrate(connection)
        async with engine.pool.connection() as connection:
            customer = await add_customer(connection, "bench", Clock().now())
        await publish(engine, customer, _JOURNEY)
    return Place(settings, customer)


def _compare(place: Place, folder: Path, rows: int, shape: Shape, repeats: int, say: Callable[[str], None]) -> Finding:
    say(f"{shape.name}: making {rows:,} rows")
    made = write_file(folder / f"{shape.name}.ndjson", rows, shape)
    ledgers: list[dict[str, Any]] = []
    pairs: Pairs = in_turn(repeats, partial(_ours, place, made, ledgers), partial(_theirs, place, folder, made), say)
    made.path.unlink()
    return Finding(shape.name, made.lines, made.bytes, pairs, ledgers[-1])


def _ours(place: Place, made: Made, ledgers: list[dict[str, Any]]) -> Run:
    """One batch is read, checked, and removed again."""
    linked = place.settings.folder / "upload"
    os.link(made.path, linked)
    batch = asyncio.run(_receive(place, _received(linked, made)))
    run = in_child(read_batch, place.settings, batch, near=place.settings.folder)
    ledger = asyncio.run(_ledger(place, batch))
    check_ledger(ledger, made)
    ledgers.append(ledger)
    shutil.rmtree(place.settings.folder / "files" / "batches" / batch)
    return run


def _received(file: Path, made: Made) -> start.Received:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    encoding = Encoding.GZIP if made.path.suffix == ".gz" else None
    return start.Received(file, file.stat().st_size, digest, encoding)


async def _receive(place: Place, received: start.Received) -> str:
    """A batch that has its file, as after an upload; no worker runs its job."""
    async with open_engine(place.settings) as (engine, _):
        async with engine.pool.connection() as connection:
            batch = await start.open_upload(engine, connection, place.customer, JOURNEY)
        return (await start.receive(engine, batch.id, received)).id


def read_batch(settings: Settings, batch: str) -> Timed:
    """The job `read`: file → cohorts, rejects and ledger, all durable and committed."""

    async def read() -> Timed:
        async with open_engine(settings) as (engine, _):
            begin = now()
            await reading.read(engine, batch, asyncio.Event())
            return Timed(now() - begin)

    return asyncio.run(read())


async def _ledger(place: Place, batch: str) -> dict[str, Any]:
    async with open_engine(place.settings) as (engine, _), single(engine.pool) as connection:
        return asdict((await batch_report(engine, connection, place.customer, batch)).ledger)


def _theirs(place: Place, folder: Path, made: Made) -> Run:
    return in_child(into_one_parquet, made.path, folder / "yardstick.parquet", _threads(place.settings))


def _threads(settings: Settings) -> int:
    return settings.threads or os.cpu_count() or 1
