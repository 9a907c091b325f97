"""`caravan up` keeps one `caravan serve` and one `caravan worker` running as its children.

They are copies of this process (forked.py), so that they share the memory of all that is imported.
"""

import asyncio
import fcntl
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from caravan.cli.session import database
from caravan.clock import Clock
from caravan.errors import Conflict, Unavailable
from caravan.server.forked import Process
from caravan.server.leash import Leash
from caravan.settings import Settings
from caravan.store import sql
from caravan.store.customers import add_customer, create_token, first_customer
from caravan.store.database import Connection, connect
from caravan.store.migrate import migrate

_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_RESTART_SECONDS = 1.0
_LONGEST_RESTART_SECONDS = 15.0
_STEADY_SECONDS = 30.0  # what has run for so long may be started again at once


def run_up(settings: Settings) -> None:
    """Run everything until SIGTERM or SIGINT. Raises `Conflict` if another `up` has the data folder."""
    stop = _Stop()
    with _alone(settings), database(settings, wait=True) as running, _listen(settings) as door:
        host, port = door.getsockname()[:2]
        url = settings.public_url or f"http://{f'[{host}]' if ':' in host else host}:{port}"
        greeting = asyncio.run(_prepare(running))
        with Leash() as leash, _children(leash, running, door) as children:
            _wait_until_ready(f"http://{_reachable(host)}:{port}/readyz?exclude=files", children, stop)
            if not stop.asked:
                print(f"Caravan is up at {url}\n{greeting}\nCtrl-C stops it.", flush=True)
            _keep_running(leash, running, door, children, stop, own_postgres=settings.database_url is None)


class _Stop:
    """Whether a signal asked to stop."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Keep a second `up` off this data folder."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    with (settings.folder / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"Another `caravan up` is running on {settings.folder}; stop it first.") from None
        yield


@contextmanager
def _listen(settings: Settings) -> Iterator[socket.socket]:
    """The listening socket. It outlives a restart of the API, so no connection is refused meanwhile."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        door = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise Unavailable(f"Can't listen on {settings.host}:{settings.port}: {error.strerror}.") from None
    with door:
        yield door


async def _prepare(settings: Settings) -> str:
    """Schema, the first customer, and what a killed predecessor left; what to tell the user."""
    assert settings.database_url is not None
    async with connect(settings.database_url, size=2) as pool:
        async with pool.connection() as connection:
            await migrate(connection)
        async with pool.connection() as connection:
            greeting = await _greet(connection)
            await connection.execute(sql.load("caravan.store", "batches.sql").receiving_uploads)
    return greeting


async def _greet(connection: Connection) -> str:
    customer = await first_customer(connection)
    if customer is not None:
        return f"customer: {customer.id}\nA new token: caravan tokens create --customer {customer.id}"
    number = await add_customer(connection, "first", Clock().now())
    token = await create_token(connection, number, "first", Clock().now())
    return f"customer: {number}\ntoken: {token}"


Children = dict[str, Process]


def _start(leash: Leash, settings: Settings, door: socket.socket, name: str) -> Process:
    assert settings.database_url is not None
    environment = {"CARAVAN_DATABASE_URL": settings.database_url, "CARAVAN_DATA": str(settings.folder)}
    if name == "serve":
        return leash.start(["serve", "--fd", str(door.fileno())], environment, fds=(door.fileno(),))
    return leash.start([name], environment)


@contextmanager
def _children(leash: Leash, settings: Settings, door: socket.socket) -> Iterator[Children]:
    children = {name: _start(leash, settings, door, name) for name in ("serve", "worker")}
    try:
        yield children
    finally:
        for child in children.values():
            with suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for child in children.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _wait_until_ready(url: str, children: Children, stop: _Stop) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not stop.asked:
        for name, child in children.items():
            if child.poll() is not None:
                raise Unavailable(f"`caravan {name}` ended with {child.poll()}; what it said stands above.")
        with suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        if time.monotonic() > deadline:
            raise Unavailable(f"The API was not ready within {_READY_SECONDS:.0f} seconds.")
        time.sleep(0.05)


def _reachable(host: str) -> str:
    """An address of this machine at which a socket bound to `host` answers."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)


class _Pace:
    """When something that ends again and again is started again: after 1 s, 2 s, 4 s … up to 15 s."""

    def __init__(self) -> None:
        self._delay, self._not_before = 0.0, 0.0

    def is_time(self) -> bool:
        """Whether to start it now. Each time that this is so, the next one is further away."""
        now = time.monotonic()
        if now < self._not_before:
            return False
        if now - self._not_before > _STEADY_SECONDS:
            self._delay = 0.0
        self._delay = min(2 * self._delay or _RESTART_SECONDS, _LONGEST_RESTART_SECONDS)
        self._not_before = now + self._delay
        return True


class _PostgresKeeper:
    """Starts the embedded PostgreSQL again if it was killed, or has ended because its disk is full."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._pace, self._told = folder, _Pace(), ""

    def look(self) -> None:
        """Start it if it is not there and it is time."""
        from caravan.server.embedded import lives, revive

        if lives(self._folder) or not self._pace.is_time():
            return
        if not self._told:
            self._tell("PostgreSQL ended; it starts again")
        try:
            revive(self._folder)
        except Unavailable as error:
            self._tell(f"{error.message} It is tried again and again.")
        else:
            self._tell("PostgreSQL is there again")
            self._told = ""

    def _tell(self, sentence: str) -> None:
        """Once: it may have to wait for days."""
        if sentence != self._told:
            self._told = sentence
            _say(sentence)


def _say(sentence: str) -> None:
    with suppress(OSError):  # the log may lie on the same full disk
        print(sentence, file=sys.stderr, flush=True)


def _keep_running(
    leash: Leash, settings: Settings, door: socket.socket, children: Children, stop: _Stop, *, own_postgres: bool
) -> None:
    postgres = _PostgresKeeper(settings.folder) if own_postgres else None
    paces = {name: _Pace() for name in children}
    ended = set[str]()
    while not stop.asked:
        time.sleep(0.1)
        if postgres:
            postgres.look()
        for name, child in children.items():
            if child.poll() is None or stop.asked:
                continue
            if name not in ended:
                ended.add(name)
                _say(f"caravan {name} ended with {child.poll()}; it starts again")
            if paces[name].is_time():
                ended.discard(name)
                children[name] = _start(leash, settings, door, name)
