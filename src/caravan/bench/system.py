"""A real `caravan up` in a temporary folder, and what a benchmark asks of it over HTTP."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from caravan.bench.inputs import Made
from caravan.bench.measure import Meter, Run, Shared, Timed
from caravan.client import Client, Started
from caravan.errors import CaravanError, Unavailable
from caravan.server.embedded import embedded
from caravan.store import sql

JOURNEY = 4711
_PATIENCE = 3600.0  # seconds
_START_SECONDS = 60.0
_Q = sql.load("caravan.bench", "bench.sql")
#: Where an installation lives; a benchmark has its own. Other settings are taken as they are: they may be tuned.
_PLACES = (
    "DATA",
    "DATABASE_URL",
    "FILES_URL",
    "HOST",
    "PORT",
    "PUBLIC_URL",
    "SMTP_URL",
    "URL",
    "CUSTOMER",
    "TOKEN",
)


class Unbalanced(CaravanError):
    """The ledger is not what it must be."""


@dataclass(frozen=True, slots=True)
class System:
    """A running installation."""

    pid: int
    folder: Path
    url: str
    customer: int
    token: str
    email: str  # of the first user
    password: str  # the one that `up` printed, good once
    environment: Mapping[str, str] = field(default_factory=dict)  # what its processes are told
    others: tuple[int, ...] = ()  # processes that belong to it, besides `pid` and its children

    def client(self) -> Client:
        """A client of its first customer."""
        return Client(self.url, self.customer, self.token)

    def meter(self) -> Meter:
        """What its processes use."""
        return Meter(self.pid, *self.others, near=self.folder)


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that was uploaded."""

    batch: str
    last_byte: float  # when the client had handed it to its socket, in seconds since the epoch
    answered: float  # when the server had answered


@contextmanager
def workspace() -> Iterator[Path]:
    """A temporary folder, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="caravan-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def without_places() -> dict[str, str]:
    """The environment, without what says where another installation is."""
    places = {f"CARAVAN_{name}" for name in _PLACES}
    return {name: value for name, value in os.environ.items() if name not in places}


@contextmanager
def up(folder: Path, journey: str, **settings: str) -> Iterator[System]:
    """`caravan up` on a free port with a journey published, until the end of the block."""
    told = {f"CARAVAN_{name.upper()}": value for name, value in settings.items()}
    environment = {**without_places(), "CARAVAN_DATA": str(folder), **told}
    command = [sys.executable, "-m", "caravan", "up", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        try:
            system = replace(_listen(process, folder), environment=environment)
            with system.client() as client:
                client.publish(JOURNEY, journey)
            yield system
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait()


def _listen(process: "subprocess.Popen[str]", folder: Path) -> System:
    assert process.stdout is not None
    told: dict[str, str] = {}
    for line in process.stdout:
        if line.startswith("Caravan is up at "):
            told["url"] = line.split()[-1]
        name, _, value = line.strip().partition(": ")
        told[name] = value
        if line.startswith("Ctrl-C"):
            email = told["console"].partition(" as ")[2]
            told_once = told["one-time password"]
            return System(process.pid, folder, told["url"], int(told["customer"]), told["token"], email, told_once)
    raise Unavailable("`caravan up` ended before it was up; what it said stands above.")


@contextmanager
def more_workers(system: System, count: int) -> Iterator[System]:
    """The same installation, of one worker, with so many `caravan worker` beside it, which share its PostgreSQL and
    its files. All of them look for work when the block begins. Raises `Unavailable`."""
    command = [sys.executable, "-m", "caravan", "worker", "--workers", "1"]
    with embedded(system.folder) as url, ExitStack() as stack:
        queues = _queues(url)
        workers = [stack.enter_context(_running(command, system.environment)) for _ in range(count)]
        deadline = time.monotonic() + _START_SECONDS
        # Each process has as many queues as that of `up`.
        while _queues(url) < queues * (1 + count):
            if time.monotonic() > deadline or any(each.poll() is not None for each in workers):
                raise Unavailable("A worker did not start; what it said stands above.")
            time.sleep(0.05)
        yield replace(system, others=tuple(each.pid for each in workers))


@contextmanager
def _running(command: list[str], environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()


def _queues(url: str) -> int:
    """How many queues have a worker; one that ended in good order is not among them."""
    with psycopg.connect(url) as connection:
        found = connection.execute(_Q.queues).fetchone()
    assert found is not None
    return int(found[0])


def shared(system: System, workers: int, warm: Callable[[System], object], run: Callable[[System], Run]) -> Shared:
    """`run` with so many workers, which are new each time and have been warmed up."""

    def side() -> Run:
        with more_workers(system, workers - 1) as larger:
            warm(larger)
            return run(larger)

    return Shared(workers, side)


def measured(meter: Meter, seconds: float, facts: Mapping[str, float] | None = None) -> Run:
    """What the meter found; of several workers also how evenly they worked."""
    told, each = dict(facts or {}), meter.each("worker")
    if len(each) > 1:
        told |= {"CPU of the busiest worker": each[0], "CPU of the least busy": each[-1]}
    return meter.run(Timed(seconds, told))


def send(client: Client, file: Path) -> Sent:
    """Upload a file into a new batch."""
    return upload(client, client.open_upload(JOURNEY), file)


def upload(client: Client, started: Started, file: Path) -> Sent:
    """Upload a file into a batch that awaits it."""
    assert started.upload_url is not None
    last_byte = [time.time()]

    def note(sent: int, total: int) -> None:
        last_byte[0] = time.time()

    client.upload(started.upload_url, file, note)
    return Sent(started.batch, last_byte[0], time.time())


def follow(client: Client, batch: str, steps: tuple[str, ...], contacts: int, pause: float = 0.05) -> dict[str, Any]:
    """The batch, once so many contacts have arrived at these steps, or else when it has ended."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found = dict(client.batch(batch).raw)
        arrived = sum(step["arrived"] for step in found["ledger"]["steps"] if step["step"] in steps)
        if found["finishedAt"] or (steps and arrived >= contacts):
            return found
        time.sleep(pause)
    raise Unavailable(f"Batch {batch} did not get there within {_PATIENCE:.0f} seconds.")


def check_ledger(ledger: dict[str, Any], made: Made) -> None:
    """Raise `Unbalanced` unless every line is where it must be and every step balances."""
    expected = {"lines": made.lines, "entered": made.entered, "rejected": dict(made.rejected)}
    wrong = [
        f"{name} should be {value}, not {ledger[name]}" for name, value in expected.items() if ledger[name] != value
    ]
    if ledger["lines"] != ledger["entered"] + sum(ledger["rejected"].values()) + ledger["blank"]:
        wrong.append("lines are not entered + rejected + blank")
    wrong += [
        f"step {step['step']} does not balance: {step}"
        for step in ledger["steps"]
        if step["arrived"] != step["standing"] + sum(step["outcomes"].values())
    ]
    if wrong:
        raise Unbalanced("The ledger is wrong: " + "; ".join(wrong) + ".")
