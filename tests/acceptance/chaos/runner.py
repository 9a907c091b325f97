"""A run of chaos: batches travel while the plan happens, and everything is checked."""

import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg

from caravan.client import CallFailed, Client
from tests.acceptance.chaos.audience import JOURNEY, Audience
from tests.acceptance.chaos.checks import (
    HALT_SECONDS,
    Broken,
    check_batch,
    check_ledger,
    check_silence,
    check_sinks,
    has_ended,
)
from tests.acceptance.chaos.disturb import Disturber
from tests.acceptance.chaos.figures import Figures, Pulse
from tests.acceptance.chaos.plan import KILLS, Disturbance, Kind, plan
from tests.acceptance.chaos.sinks import Sinks
from tests.acceptance.chaos.store import Store
from tests.acceptance.chaos.system import Apart, System, Up

_PATIENCE = 120.0  # seconds for a call, and for the system to stand still, before it counts as broken
_JOURNAL_PATIENCE = 600.0  # a journal that breaks off is read again from its beginning
_BETWEEN_LOOKS_AT_ORPHANS = 0.5  # seconds
_AWAY = frozenset({0, 503})  # what an API says that will be there again: nothing, or come again
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is like."""

    seed: int
    minutes: float  # of disturbances; the batches under way then go on to their end
    rows: int = 200_000
    every: float = 3.0  # seconds between two disturbances, on average
    workers: int = 2  # 0: `caravan up` instead of processes apart
    store: str = "folder"  # or "s3"
    uploads: str = "api"  # where clients put files: "api", "direct" into an S3, or now this and now that: "both"
    travellers: int = 2  # batches under way at once
    batches: int = 1_000  # at most
    tell: Callable[[str], None] = print
    settings: dict[str, str] = field(default_factory=dict)


class Run:
    """One run and everything that takes part in it."""

    def __init__(self, options: Options, system: System, sinks: Sinks, store: Store | None, folder: Path) -> None:
        self._options, self._system, self._sinks, self._folder = options, system, sinks, folder
        self._pulse, self.figures = Pulse(options.tell), Figures()
        self._asked: dict[str, list[Disturbance]] = {}  # batches under way, and what is asked of them
        self._over = threading.Event()  # no new batch is begun
        self._broken = threading.Event()  # nobody waits for anything any more
        self._reason: BaseException | None = None
        self._left = options.batches
        self._lock = threading.Lock()
        self._next_orphans, self._able_since = 0.0, time.monotonic()
        self.disturber = Disturber(system, sinks, store, self._ask)

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
        check_sinks(self._sinks, self.figures.found)
        self.figures.longest_standstill = self._pulse.longest
        self.figures.longest_after_kill = self._pulse.longest_after_kill

    def _disturb(self, finished: Callable[[], bool]) -> None:
        start, options = time.monotonic(), self._options
        for each in plan(options.seed, options.minutes, options.every, s3=options.store == "s3"):
            while (ahead := start + each.at - time.monotonic()) > 0 and not finished():
                self._tend(min(ahead, 0.1))
            if finished():
                return
            options.tell(_describe(each))
            self._look_at_sinks()
            if self.disturber.do(each) and each.kind in KILLS:
                self._pulse.kill()
        self._over.set()
        self.disturber.end()
        while not finished():
            self._tend(0.1)

    def _tend(self, seconds: float) -> None:
        self.disturber.keep()
        self._look_at_sinks()
        self._look_at_orphans(time.monotonic())
        time.sleep(seconds)

    def _look_at_orphans(self, now: float) -> None:
        """For how long the dead and silent have kept jobs, while somebody else could take them up."""
        if not isinstance(self._system, Apart) or now < self._next_orphans:
            return
        self._next_orphans = now + _BETWEEN_LOOKS_AT_ORPHANS
        if not self.disturber.somebody_can_work():
            self._able_since = now
            return
        kept = min(_oldest_orphan(self._system.database_url), now - self._able_since)
        self.figures.longest_orphan = max(self.figures.longest_orphan, kept)

    def _look_at_sinks(self) -> None:
        self._pulse.look("sinks", self._sinks.total())
        if not self._asked:  # no batch is under way
            self._pulse.excuse()

    def _ask(self, one: Disturbance) -> bool:
        with self._lock:
            under_way = list(self._asked)
            if not under_way:
                return False
            self._asked[under_way[int(one.choice * len(under_way))]].append(one)
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
            direct = self._upload(client, started.upload_url, audience.path)
            batch = self._watch(client, started.batch, audience)
            told = self._patient(lambda: list(client.journal(started.batch)), patience=_JOURNAL_PATIENCE)
            journal = [line.raw for line in told]
            found = check_batch(batch, journal, audience, self._sinks)
        audience.path.unlink()
        with self._lock:
            self.figures.add(found, direct=direct, cancelled=batch["state"] == "cancelled")

    def _upload(self, client: Client, url: str, file: Path) -> bool:
        """PUT a file until it is taken; whether the store itself took it, which may answer 500."""
        direct = not url.startswith(self._system.url)
        self._patient(lambda: client.upload(url, file), away=_AWAY | {500} if direct else _AWAY)
        return direct

    def _watch(self, client: Client, batch: str, audience: Audience) -> dict[str, Any]:
        """Look at a batch until it has ended and everybody has left; every look must balance."""
        with self._lock:
            self._asked[batch] = []
        cancelled: float | None = None
        try:
            while not self._broken.is_set():
                found = self._patient(lambda: client.batch(batch).raw)
                check_ledger(found)
                self.figures.looks += 1
                self._pulse.look(batch, found["ledger"])
                if found["state"] == "paused":
                    self._pulse.excuse()
                if has_ended(found):
                    if cancelled is not None:
                        self._check_silence(batch, audience, cancelled)
                    return found
                self._hurry(found)
                with suppress(_Ended):
                    cancelled = self._do_as_asked(client, batch, audience) or cancelled
                time.sleep(0.5)
            raise Broken("given up because something else broke")
        finally:
            with self._lock:
                del self._asked[batch]

    def _hurry(self, found: dict[str, Any]) -> None:
        quiet = time.monotonic() - max(self._pulse.last, self.disturber.last)
        if quiet > _PATIENCE:
            raise Broken(f"nothing has moved for {quiet:.0f} s: {found}")

    def _do_as_asked(self, client: Client, batch: str, audience: Audience) -> float | None:
        """Pause the batch for some time, or cancel it if that is what is asked; then when that was answered."""
        with self._lock:
            if not self._asked[batch]:
                return None
            one = self._asked[batch].pop(0)
        if one.kind is Kind.CANCEL:
            return self._change(client, batch, "cancel")
        paused = self._change(client, batch, "pause")
        time.sleep(one.seconds)
        self._check_silence(batch, audience, paused)
        self._change(client, batch, "resume")
        return None

    def _check_silence(self, batch: str, audience: Audience, halted: float) -> None:
        """A second after a pause or a cancel was answered nothing of the batch arrives any more."""
        now = time.monotonic()
        if now <= halted + HALT_SECONDS or self.disturber.stood_still(halted):
            return
        self.figures.silences += 1
        check_silence(self._sinks, audience.keys(batch), halted, now)

    def _change(self, client: Client, batch: str, change: str) -> float:
        """Pause, resume or cancel a batch; when that was answered (monotonic seconds)."""
        try:
            self._patient(lambda: client.change(batch, change))
        except CallFailed as error:
            if error.status != 409:
                raise
            raise _Ended from error
        return time.monotonic()

    def _client(self) -> Client:
        return Client(self._system.url, self._system.customer, self._system.token, timeout=30)

    def _patient(
        self,
        call: Callable[[], T],
        between: Callable[[], None] = lambda: None,
        patience: float = _PATIENCE,
        away: Set[int] = _AWAY,
    ) -> T:
        """What a client does: call again while there is no answer, or one that says to."""
        deadline = time.monotonic() + patience
        while True:
            try:
                return call()
            except (CallFailed, httpx.HTTPError) as error:
                if getattr(error, "status", 0) not in away or time.monotonic() > deadline:
                    raise
            between()
            time.sleep(0.2)


class _Ended(Exception):
    """The batch ended before it could be paused or cancelled."""


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


def _uploads(options: Options) -> Iterator[str]:
    """Where clients put their files, for each start of a process."""
    drawn = random.Random(options.seed)
    while True:
        yield drawn.choice(["api", "direct"]) if options.uploads == "both" else options.uploads


def run(options: Options, folder: Path) -> tuple[Figures, Disturber]:
    """Run chaos in `folder`. Raises `Broken` if a promise is."""
    with ExitStack() as stack:
        store = stack.enter_context(Store(folder / "store.log")) if options.store == "s3" else None
        sinks = stack.enter_context(Sinks(store.gate) if store else Sinks())
        settings = {
            "SMTP_URL": f"smtp://127.0.0.1:{sinks.mails.port}",
            "SMTP_TIMEOUT": "5",
            "WEBHOOK_TIMEOUT": "5",
            "DOWNLOAD_ALLOW_PRIVATE": "true",
            "RETRY_DELAY": "1",
            **(store.settings if store else {}),
            **options.settings,
        }
        system = stack.enter_context(_system(options, folder / "system", settings))
        one = Run(options, system, sinks, store, folder)
        one.go()
        return one.figures, one.disturber


def _system(options: Options, folder: Path, settings: dict[str, str]) -> System:
    port, uploads = _free_port(), _uploads(options)
    if options.workers:
        return Apart(folder, port, settings, uploads, options.workers)
    return Up(folder, port, settings, uploads)
