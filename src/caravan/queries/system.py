"""The installation at one moment, for its operator: workers, queues, what is stuck, PostgreSQL, disks, versions."""

import asyncio
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import duckdb

from caravan import __version__
from caravan.engine.engine import Engine
from caravan.metrics import MOMENT, Sample
from caravan.queries.readiness import Readiness
from caravan.store import metrics, system
from caravan.store.database import snapshot
from caravan.store.files import LocalFiles
from caravan.store.metrics import Heartbeats
from caravan.store.migrate import migrations
from caravan.store.system import DatabaseState, Hindered, QueueCounts, Running, Stuck

LISTED = 50  # rows of a list at most
_LATE = "caravan_wake_lateness_seconds"
_WITHIN = ((0.1, "0.1"), (1.0, "1.0"), (10.0, "10.0"))  # bounds of its buckets that are told


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk under a folder, in bytes."""

    name: str
    folder: str
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class ChannelReach:
    """When a channel's other side was last reached, and last could not be reached: seconds since the epoch, or 0."""

    channel: str
    reached: float
    unreachable: float

    @property
    def is_away(self) -> bool:
        """Whether the last attempt reached nobody."""
        return self.unreachable > self.reached


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late workers took cohorts up that were due, since the installation was made: a pause in between counts."""

    cohorts: int
    within: list[tuple[float, float]]  # (seconds, the share of the cohorts that were no later), in order


@dataclass(frozen=True, slots=True)
class SystemState:
    """What is so at this moment. Disks, store and versions are those of the process that was asked."""

    missing: list[str]  # a sentence for each thing that does not answer
    heartbeats: Heartbeats
    queues: list[QueueCounts]
    running: list[Running]
    stuck: list[Stuck]
    hindered: list[Hindered]
    database: DatabaseState
    channels: list[ChannelReach]
    lateness: Lateness
    disks: list[Disk]
    store: str
    schema: tuple[int, int]  # the newest migration of the database, and of this version
    versions: list[tuple[str, str]]
    has_relay: bool


async def system_state(engine: Engine, readiness: Readiness) -> SystemState:
    """Look at everything once."""
    missing = await readiness.look()
    disks = await asyncio.to_thread(_disks, engine)
    async with snapshot(engine.pool) as connection:
        database = await system.database_state(connection)
        totals = await metrics.totals(connection)
        return SystemState(
            missing=missing,
            heartbeats=await metrics.heartbeats(connection),
            queues=await system.queues(connection),
            running=await system.running(connection, LISTED),
            stuck=await system.stuck(connection, LISTED),
            hindered=await system.hindered(connection, LISTED),
            database=database,
            channels=_channels(totals),
            lateness=_lateness(totals),
            disks=disks,
            store=_store(engine),
            schema=(await system.schema(connection), max(each.number for each in migrations())),
            versions=_versions(database.version),
            has_relay=engine.settings.smtp_url is not None,
        )


def _lateness(totals: list[Sample]) -> Lateness:
    found = {dict(each.labels).get("le"): each.value for each in totals if each.name == f"{_LATE}_bucket"}
    cohorts = found.get("+Inf", 0.0)
    within = [(seconds, found.get(le, 0.0)) for seconds, le in _WITHIN]
    return Lateness(int(cohorts), [(seconds, count / cohorts) for seconds, count in within] if cohorts else [])


def _channels(totals: list[Sample]) -> list[ChannelReach]:
    moments = {(each.name, dict(each.labels).get("channel", "")): each.value for each in totals}
    names = sorted({channel for name, channel in moments if name.startswith("caravan_channel_")})
    return [
        ChannelReach(each, *(_moment(moments, kind, each) for kind in ("reached", "unreachable"))) for each in names
    ]


def _moment(moments: dict[tuple[str, str], float], kind: str, channel: str) -> float:
    return moments.get((f"caravan_channel_{kind}{MOMENT}", channel), 0.0)


def _disks(engine: Engine) -> list[Disk]:
    """The disk of the data folder, and that of the files where it is another. One that can't be asked is left out: the
    store's own check tells of it."""
    folders = [("Data folder", engine.settings.folder)]
    if isinstance(engine.files, LocalFiles):
        folders.append(("Files of contacts", engine.files.root))
    found: list[Disk] = []
    seen: set[int] = set()
    for name, folder in folders:
        try:
            device, usage = folder.stat().st_dev, shutil.disk_usage(folder)
        except OSError:
            continue
        if device not in seen:
            found.append(Disk(name, str(folder), usage.total, usage.free))
        seen.add(device)
    return found


def _store(engine: Engine) -> str:
    """Where files of contacts are kept; an S3 address has no secret in it."""
    if isinstance(engine.files, LocalFiles):
        return f"the folder {Path(engine.files.root)}"
    return f"{engine.settings.files_url} (S3)"


def _versions(postgresql: str) -> list[tuple[str, str]]:
    return [
        ("Caravan", __version__),
        ("Python", platform.python_version()),
        ("PostgreSQL", postgresql),
        ("DuckDB", duckdb.__version__),
        ("Procrastinate", version("procrastinate")),
    ]
