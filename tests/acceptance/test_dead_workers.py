"""Workers are killed with a job in hand: how soon it goes on elsewhere. `-s` shows the times."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from caravan.bootstrap import open_engine
from caravan.engine import start
from caravan.engine.publish import publish
from caravan.settings import Settings, read_settings
from caravan.store.customers import add_customer
from tests.acceptance.conftest import environment, until, up
from tests.integration.journeys_for_tests import MAIL, contacts

PROMISE = 30.0  # seconds, docs/guarantees.md: on a machine that does nothing else; `-s` shows what it took
HANGS = 150.0  # seconds; nothing takes so long on a machine that runs other tests beside


async def _enter(settings: Settings) -> None:
    file = settings.folder / "contacts.ndjson"
    file.parent.mkdir(parents=True)
    file.write_bytes(contacts(20))
    async with open_engine(settings) as (engine, _):
        async with engine.pool.connection() as connection:
            customer = await add_customer(connection, "shop", engine.clock.now())
        await publish(engine, customer, MAIL)
        async with engine.pool.connection() as connection:
            batch = await start.open_upload(engine, connection, customer, 1)
        await start.receive(engine, batch.id, start.Received(file, file.stat().st_size, "sum", None))


@pytest.fixture
def mute() -> Iterator[str]:
    """A relay that takes connections and says nothing, so that a job stays in hand for long."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as door:
        yield f"smtp://127.0.0.1:{door.getsockname()[1]}"


class Site:
    """Workers on one database, each with a data folder, and the one job that all of them want."""

    def __init__(self, database: str, folder: Path, relay: str) -> None:
        self.folder = folder
        self._own = {"database_url": database, "files_url": str(folder / "files"), "smtp_url": relay}
        self._watcher = psycopg.connect(database, autocommit=True)
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def settings(self) -> dict[str, str]:
        return {name.upper(): value for name, value in self._own.items()}

    def worker(self, folder: str) -> "subprocess.Popen[bytes]":
        """A worker, once it is at work."""
        before = self._workers()
        process = subprocess.Popen(
            [sys.executable, "-m", "caravan", "worker", "--workers", "1"],
            env=environment(self.folder / folder, **self.settings),
        )
        self._processes.append(process)
        until(lambda: len(self._workers() - before) >= 5, pause=0.02)
        return process

    def start_batch(self) -> None:
        """One cohort stands at a step that sends, in the hands of a worker."""
        asyncio.run(_enter(read_settings(data=self.folder / "client", **self._own)))
        until(self.holder, pause=0.02)

    def holder(self) -> int | None:
        """The worker that has the job in hand; None while it waits."""
        found = self._watcher.execute(
            "select worker_id from procrastinate_jobs where lock like 'cohort:%' and status = 'doing'"
        ).fetchone()
        return found[0] if found else None

    def last_start(self) -> int:
        """The number of the last time that a worker took the job, or the job that took its place: it may have been put
        off again before anybody looks, and what is known of a job that has ended is gone."""
        found = self._watcher.execute(
            "select coalesce(max(e.id), 0) from procrastinate_events e join procrastinate_jobs j on j.id = e.job_id "
            "where j.lock like 'cohort:%' and e.type = 'started'"
        ).fetchone()
        assert found is not None
        return int(found[0])

    def taken_up(self, dead: int | None, since: float) -> float:
        """Seconds from `since` until another than the dead worker has the job."""
        assert dead is not None
        until(lambda: self.holder() not in (None, dead), HANGS, 0.02)
        return time.monotonic() - since

    def close(self) -> None:
        for each in self._processes:
            each.kill()
            each.wait()
        self._watcher.close()

    def _workers(self) -> set[int]:
        return {each[0] for each in self._watcher.execute("select id from procrastinate_workers").fetchall()}


@pytest.fixture
def site(database: str, folder: Path, mute: str) -> Iterator[Site]:
    folder.mkdir()
    site = Site(database, folder, mute)
    yield site
    site.close()


def _kill(process: "subprocess.Popen[bytes]") -> float:
    """Kill it; when that was."""
    process.kill()
    process.wait()
    return time.monotonic()


def _tell(what: str, times: list[float]) -> None:
    print(f"\n{what}: taken up after {', '.join(f'{each:.1f}' for each in times)} s")
    assert max(times) < HANGS


def test_what_a_killed_machine_had_in_hand_goes_on_at_another(site: Site) -> None:
    first = site.worker("first")
    site.start_batch()
    site.worker("second")
    dead = site.holder()
    _tell("another machine", [site.taken_up(dead, _kill(first))])


@pytest.mark.long
def test_where_only_replacements_on_the_same_machine_live_each_takes_it_up(site: Site) -> None:
    """Each is killed some two seconds after its start."""
    worker, times = site.worker("one"), list[float]()
    site.start_batch()
    for _ in range(4):
        dead, killed = site.holder(), _kill(worker)
        worker = site.worker("one")
        times.append(site.taken_up(dead, killed))
    _tell("replacements on the same machine", times)


@pytest.mark.long
def test_where_replacements_are_killed_one_after_the_other_one_that_lives_takes_it_up(site: Site) -> None:
    """Each replacement is a machine of its own, and is killed some two seconds after its start."""
    victim = site.worker("0")
    site.start_batch()
    site.worker("lives")
    killed, before = time.monotonic(), site.last_start()
    for number in range(1, 40):
        _kill(victim)
        if site.last_start() > before:
            break
        victim = site.worker(str(number))
    _tell("while others are killed", [time.monotonic() - killed])


def test_up_takes_up_what_its_killed_worker_had_in_hand(site: Site) -> None:
    times = list[float]()
    with up(site.folder / "up", **site.settings) as running:
        site.start_batch()
        for _ in range(3):
            dead, killed = site.holder(), time.monotonic()
            for child in psutil.Process(running.process.pid).children():
                if "worker" in child.cmdline():
                    child.kill()
            times.append(site.taken_up(dead, killed))
        running.kill_9()  # a relay that says nothing would hold up a clean stop
    _tell("caravan up", times)
