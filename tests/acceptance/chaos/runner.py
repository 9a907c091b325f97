"""A run of chaos: batches travel while the plan happens, and everything is checked."""

import secrets
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg

from caravan.client import Client
from caravan.client.client import CallFailed
from tests.acceptance.chaos.audience import JOURNEY, Audience
from tests.acceptance.chaos.checks import Broken, Found, check_batch, check_ledger, check_sinks
from tests.acceptance.chaos.disturb import Disturber
from tests.acceptance.chaos.plan import Disturbance, plan
from tests.acceptance.chaos.sinks import Sinks
from tests.acceptance.chaos.system import Apart, System, Up

_PATIENCE = 120.0  # seconds for a call, and for the system to stand still, before it counts as broken
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is like."""

    seed: int
    minutes: float  # of disturbances; the batches under way then go on to their end
    rows: int = 200_000
    every: float = 3.0  # seconds between two disturbances, on average
    workers: int = 2  # 0: `caravan up` instead of processes apart
    travellers: int = 2  # batches under way at once
    batches: int = 1_000  # at most
    tell: Callable[[str], None] = print
    settings: dict[str, str] = field(default_factory=dict)


class Pulse:
    """When something moved last, and the longest that nothing did."""

    def __init__(self) -> None:
        self._seen: dict[str, object] = {}
        self.last = time.monotonic()
        self.longest = 0.0

    def look(self, name: str, seen: object, *, excused: bool) -> None:
        """`seen` of batch `name`; a batch that is paused is excused from moving."""
        now = time.monotonic()
        self.longest = max(self.longest, now - self.last)
        if excused or self._seen.get(name) != seen:
            self._seen[name], self.last = seen, now


@dataclass(slots=True)
class Figures:
    """What a run has seen."""

    batches: int = 0
    found: Found = field(default_factory=Found)
    looks: int = 0
    longest_standstill: float = 0.0
    longest_orphan: float = 0.0

    def add(self, found: Found) -> None:
        self.batches += 1
        self.found.contacts += found.contacts
        self.found.sent += found.sent
        self.found.unknown += found.unknown
        self.found.unknown_but_received += found.unknown_but_received


class Run:
    """One run and everything that takes part in it."""

    def __init__(self, options: Options, system: System, sinks: Sinks, folder: Path) -> None:
        self._options, self._system, self._sinks, self._folder = options, system, sinks, folder
        self._pulse, self.figures = Pulse(), Figures()
        self._pauses: dict[str, float] = {}  # batches under way, and for how long they are asked to pause
        self._over = threading.Event()  # no new batch is begun
        self._broken = threading.Event()  # nobody waits for anything any more
        self._reason: BaseException | None = None
        self._left = options.batches
        self._lock = threading.Lock()
        self.disturber = Disturber(system, sinks, self._ask_pause)

    def go(self) -> None:
        """Run to the end. Raises `Broken`."""
        with self._client() as client:
            journey = JOURNEY.format(port=self._sinks.calls.port)
            self._patient(lambda: client.publish(1, journey), self._system.keep)
        count = self._options.travellers
        with ThreadPoolExecutor(count) as pool:
            travels = [pool.submit(self._travel_on) for _ in range(count)]
            try:
                self._disturb(lambda: all(each.done() for each in travels))
            except BaseException:
                self._stop()
                raise
        if self._reason is not None:
            raise self._reason
        received = self.figures.found.unknown_but_received
        check_sinks(self._sinks, self.figures.found.sent, received)
        self.figures.longest_standstill = self._pulse.longest

    def _disturb(self, finished: Callable[[], bool]) -> None:
        start = time.monotonic()
        for each in plan(self._options.seed, self._options.minutes, self._options.every):
            while (ahead := start + each.at - time.monotonic()) > 0 and not finished():
                self._tend(min(ahead, 0.1))
            if finished():
                return
            self._options.tell(_describe(each))
            self.disturber.do(each)
        self._over.set()
        self.disturber.end()
        while not finished():
            self._tend(0.1)

    def _tend(self, seconds: float) -> None:
        self.disturber.keep()
        if isinstance(self._system, Apart):
            self.figures.longest_orphan = max(self.figures.longest_orphan, _oldest_orphan(self._system.database_url))
        time.sleep(seconds)

    def _ask_pause(self, choice: float, seconds: float) -> bool:
        with self._lock:
            under_way = list(self._pauses)
            if not under_way:
                return False
            self._pauses[under_way[int(choice * len(under_way))]] = seconds
            return True

    def _travel_on(self) -> None:
        while not self._over.is_set() and self._take_ticket():
            try:
                self._travel()
            except BaseException as error:
                self._reason = self._reason or error
                self._stop()

    def _stop(self) -> None:
        self._over.set()
        self._broken.set()

    def _take_ticket(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def _travel(self) -> None:
        """One batch, from its file to its check."""
        audience = Audience(self._folder / f"{secrets.token_hex(4)}.ndjson", self._options.rows)
        audience.write()
        name = secrets.token_hex(8)
        with self._client() as client:
            started = self._patient(lambda: client.open_upload(1, key=name))
            assert started.upload_url is not None
            url = started.upload_url
            self._patient(lambda: client.upload(url, audience.path))
            batch = self._watch(client, started.batch)
            journal = self._patient(lambda: list(client.journal(started.batch)))
            found = check_batch(batch, journal, audience, self._sinks)
        audience.path.unlink()
        with self._lock:
            self.figures.add(found)

    def _watch(self, client: Client, batch: str) -> dict[str, Any]:
        """Look at a batch until it has ended; every look must balance."""
        with self._lock:
            self._pauses[batch] = 0.0
        try:
            while not self._broken.is_set():
                found = self._patient(lambda: client.batch(batch))
                check_ledger(found)
                self.figures.looks += 1
                self._pulse.look(batch, (found["ledger"], self._sinks.total()), excused=found["state"] == "paused")
                if found["finishedAt"] is not None:
                    return found
                self._hurry(found)
                self._pause_if_asked(client, batch)
                time.sleep(0.5)
            raise Broken("given up because something else broke")
        finally:
            with self._lock:
                del self._pauses[batch]

    def _hurry(self, found: dict[str, Any]) -> None:
        quiet = time.monotonic() - max(self._pulse.last, self.disturber.last)
        if quiet > _PATIENCE:
            raise Broken(f"nothing has moved for {quiet:.0f} s: {found}")

    def _pause_if_asked(self, client: Client, batch: str) -> None:
        seconds = self._pauses[batch]
        if not seconds:
            return
        self._pauses[batch] = 0.0
        with suppress(_Ended):
            self._change(client, batch, "pause")
            time.sleep(seconds)
            self._change(client, batch, "resume")

    def _change(self, client: Client, batch: str, change: str) -> None:
        try:
            self._patient(lambda: client.change(batch, change))
        except CallFailed as error:
            if error.status != 409:
                raise
            raise _Ended from error

    def _client(self) -> Client:
        return Client(self._system.url, self._system.customer, self._system.token, timeout=30)

    def _patient(self, call: Callable[[], T], between: Callable[[], None] = lambda: None) -> T:
        """What a client does: call again while there is no answer, or one that says to."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return call()
            except (CallFailed, httpx.HTTPError) as error:
                if getattr(error, "status", 0) not in (0, 503) or time.monotonic() > deadline:
                    raise
            between()
            time.sleep(0.2)


class _Ended(Exception):
    """The batch ended before it could be paused."""


def _describe(each: Disturbance) -> str:
    return f"{each.at:7.1f} s  {each.kind} ({each.seconds:.1f} s, {each.choice:.2f})"


def _oldest_orphan(url: str) -> float:
    """The seconds since the last sign of life of a worker that has a job: how long its job has lain about."""
    with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2) as connection:
        found = connection.execute(
            "select extract(epoch from now() - min(w.last_heartbeat))::float from procrastinate_workers w"
            " join procrastinate_jobs j on j.worker_id = w.id where j.status = 'doing'"
        ).fetchone()
        return found[0] if found and found[0] is not None else 0.0
    return 0.0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def run(options: Options, folder: Path) -> tuple[Figures, Disturber]:
    """Run chaos in `folder`. Raises `Broken` if a promise is."""
    with Sinks() as sinks:
        settings = {
            "SMTP_URL": f"smtp://127.0.0.1:{sinks.mails.port}",
            "SMTP_TIMEOUT": "5",
            "WEBHOOK_TIMEOUT": "5",
            "DOWNLOAD_ALLOW_PRIVATE": "true",
            "RETRY_DELAY": "1",
            **options.settings,
        }
        port = _free_port()
        whole = folder / "system"
        system = Apart(whole, port, settings, options.workers) if options.workers else Up(whole, port, settings)
        with system:
            one = Run(options, system, sinks, folder)
            one.go()
        return one.figures, one.disturber
