"""The processes of an installation: `up` keeps one `serve` and one `worker` running as its children."""

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

from caravan.bootstrap import open_engine
from caravan.cli.leash import Leash, obey
from caravan.cli.session import database
from caravan.clock import Clock
from caravan.engine import worker as workers
from caravan.engine.upkeep import recover
from caravan.errors import Conflict, InvalidSetting, Unavailable
from caravan.settings import Settings
from caravan.store import sql
from caravan.store.customers import add_customer, create_token, first_customer
from caravan.store.database import Connection
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
        # The embedded database is ours alone, so whoever worked on it before is gone.
        greeting = asyncio.run(_prepare(running, alone=settings.database_url is None))
        with Leash() as leash, _children(leash, running, door) as children:
            _wait_until_ready(f"http://{_reachable(host)}:{port}/readyz", children, stop)
            if not stop.asked:
                print(f"Caravan is up at {url}\n{greeting}\nCtrl-C stops it.", flush=True)
            _keep_running(leash, running, door, children, stop)


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


async def _prepare(settings: Settings, *, alone: bool) -> str:
    """Schema, the first customer, and what a killed predecessor left; what to tell the user."""
    async with open_engine(settings) as (engine, app):
        async with engine.pool.connection() as connection:
            await migrate(connection)
        async with engine.pool.connection() as connection:
            greeting = await _greet(connection)
            await connection.execute(sql.load("caravan.store", "batches.sql").receiving_uploads)
        workers.clear_scratch(engine)
        if alone:
            await recover(app, seconds=0)
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


def _keep_running(leash: Leash, settings: Settings, door: socket.socket, children: Children, stop: _Stop) -> None:
    while not stop.asked:
        time.sleep(0.1)
        for name, child in children.items():
            if child.poll() is not None and not stop.asked:
                print(
                    f"caravan {name} ended with {child.returncode}; it starts again",
                    file=sys.stderr,
                    flush=True,
                )
                time.sleep(_RESTART_SECONDS)
                children[name] = _start(leash, settings, door, name)


def run_serve(settings: Settings, fd: int | None) -> None:
    """Run the API until a signal."""
    import uvicorn

    from caravan.api.app import create_app

    obey()

    async def serve() -> None:
        async with open_engine(settings) as (engine, _):
            config = uvicorn.Config(
                create_app(engine),
                host=settings.host,
                port=settings.port,
                fd=fd,
                log_level="warning",
                access_log=False,  # it would hold the signatures of upload URLs
                timeout_graceful_shutdown=5,
            )
            server = uvicorn.Server(config)
            if fd is None:
                print(f"Caravan's API listens at http://{settings.host}:{settings.port}", flush=True)
            await server.serve()

    asyncio.run(serve())


def run_worker(settings: Settings, queues: str | None, concurrency: int | None) -> None:
    """Run a worker until a signal."""
    lanes = _lanes(queues, concurrency)
    obey()

    async def work() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with open_engine(settings) as (engine, app):
            await workers.work(app, engine, lanes, stop)

    asyncio.run(work())


def _lanes(queues: str | None, concurrency: int | None) -> dict[str, int]:
    known = workers.CONCURRENCY
    names = [name.strip() for name in queues.split(",")] if queues else list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidSetting(f"There is no lane {unknown[0]!r}; there are {', '.join(known)}.")
    return {name: concurrency or known[name] for name in names}
