"""`caravan up` keeps one `caravan serve` and one `caravan worker` running as its children.

It stays light: the engine is imported by the children only.
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
from types import FrameType

from caravan.cli.leash import Leash
from caravan.cli.session import database
from caravan.clock import Clock
from caravan.engine.presence import anyone
from caravan.engine.recovery import clear_folder
from caravan.errors import Conflict, Unavailable
from caravan.settings import Settings
from caravan.store import sql
from caravan.store.customers import add_customer, create_token, first_customer
from caravan.store.database import Connection, connect
from caravan.store.migrate import migrate

_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_RESTART_SECONDS = 1.0


def run_up(settings: Settings) -> None:
    """Run everything until SIGTERM or SIGINT. Raises `Conflict` if another `up` has the data folder."""
    stop = _Stop()
    with _alone(settings), database(settings, wait=True) as running, _listen(settings) as door:
        host, port = door.getsockname()[:2]
        url = settings.public_url or f"http://{f'[{host}]' if ':' in host else host}:{port}"
        greeting = asyncio.run(_prepare(running))
        with Leash() as leash, _children(leash, running, door) as children:
            _wait_until_ready(f"http://{_reachable(host)}:{port}/readyz", children, stop)
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
    if not anyone(settings.folder):
        clear_folder(settings.folder)
    return greeting


async def _greet(connection: Connection) -> str:
    customer = await first_customer(connection)
    if customer is not None:
        return f"customer: {customer.id}\nA new token: caravan tokens create --customer {customer.id}"
    number = await add_customer(connection, "first", Clock().now())
    token = await create_token(connection, number, "first", Clock().now())
    return f"customer: {number}\ntoken: {token}"


Children = dict[str, "subprocess.Popen[bytes]"]


def _start(leash: Leash, settings: Settings, door: socket.socket, name: str) -> "subprocess.Popen[bytes]":
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
                raise Unavailable(f"`caravan {name}` ended with {child.returncode}; what it said stands above.")
        with suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        if time.monotonic() > deadline:
            raise Unavailable(f"The API was not ready within {_READY_SECONDS:.0f} seconds.")
        time.sleep(0.05)


def _reachable(host: str) -> str:
    """An address of this machine at which a socket bound to `host` answers."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)


def _keep_postgres(settings: Settings) -> None:
    """Start the embedded PostgreSQL again if it was killed."""
    from caravan.store.embedded import lives, revive

    if lives(settings.folder):
        return
    print("PostgreSQL ended; it starts again", file=sys.stderr, flush=True)
    try:
        revive(settings.folder)
    except Unavailable as error:
        print(error.message, file=sys.stderr, flush=True)


def _keep_running(
    leash: Leash, settings: Settings, door: socket.socket, children: Children, stop: _Stop, *, own_postgres: bool
) -> None:
    while not stop.asked:
        time.sleep(0.1)
        if own_postgres:
            _keep_postgres(settings)
        for name, child in children.items():
            if child.poll() is not None and not stop.asked:
                print(
                    f"caravan {name} ended with {child.returncode}; it starts again",
                    file=sys.stderr,
                    flush=True,
                )
                time.sleep(_RESTART_SECONDS)
                children[name] = _start(leash, settings, door, name)
