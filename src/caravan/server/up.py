"""`caravan up` keeps one `caravan serve` and several `caravan worker` running as its children.

They are copies of this process (forked.py), so that they share the memory of all that is imported.
"""

import asyncio
import fcntl
import shlex
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from caravan.access import audit
from caravan.access.management import Manager, create_token, machine_user
from caravan.access.users import first_user
from caravan.clock import Clock
from caravan.errors import Conflict, Unavailable
from caravan.server.children import Starts, bounces_child, child_environment, serve_child, worker_children
from caravan.server.data_folder import database
from caravan.server.leash import Leash
from caravan.server.operator_notices import operator_told
from caravan.server.postgres_keeper import PostgresKeeper
from caravan.server.shares import worker_count
from caravan.server.supervisor import StopSignal, Supervisor, say
from caravan.settings import OWN_URL, RELAY_AWAY, SANDBOX_NOTICE, SMS_AWAY, Settings
from caravan.store import puts
from caravan.store.customers import add_customer, first_customer
from caravan.store.database import Connection, connect
from caravan.store.migrate import migrate
from caravan.store.process_locks import make_private

NO_PUBLIC_URL = (
    "No CARAVAN_PUBLIC_URL is set: links to unsubscribe lead to this machine, which recipients of mails can't reach."
)
_READY_SECONDS = 60.0
_LOOK_EVERY = 1.0  # seconds between two looks at PostgreSQL; the end of a child is noticed at once


def run_up(settings: Settings) -> None:
    """Run everything until SIGTERM or SIGINT. Raises `Conflict` if another `up` has the data folder."""
    stop = StopSignal()
    with _alone(settings), _listen(settings) as door, _started_database(settings) as running:
        host, port = door.getsockname()[:2]
        url = settings.public_url or f"http://{f'[{host}]' if ':' in host else host}:{port}"
        # Another command finds a database of its own by the environment, as this did, but no folder of --data.
        where = "" if settings.database_url else f" --data {shlex.quote(str(settings.folder))}"
        _say("bringing the database to this version's schema …")
        greeting = asyncio.run(_prepare(running, where))
        _say(f"starting the API and {_workers(worker_count(settings))} …")
        keeper = PostgresKeeper(settings.folder) if settings.database_url is None else None
        for marker in (RELAY_AWAY, SMS_AWAY):
            (settings.folder / marker).unlink(missing_ok=True)
        with Leash() as leash, Supervisor(_children(leash, running, door, _links(settings, host, port))) as supervisor:
            _wait_until_ready(f"http://{_reachable(host)}:{port}/readyz?exclude=files", supervisor, stop)
            if not stop.asked:
                if settings.smtp_url is not None and settings.public_url is None:
                    _say(NO_PUBLIC_URL)
                if settings.smtp_url is None:
                    _say(f"MAIL GOES INTO THE SANDBOX. {SANDBOX_NOTICE}")
                print(f"Caravan is up at {url}\n{greeting}\nCtrl-C stops it.", flush=True)
            with operator_told(running.database_url or "", say):
                _keep_running(supervisor, keeper, stop)


def _links(settings: Settings, host: str, port: int) -> str:
    """Where links in messages lead."""
    return settings.public_url or f"http://{_reachable(host)}:{port}"


def _say(words: str) -> None:
    """Tell what is going on: on stdout, as all that `up` says of itself when nothing is wrong."""
    print(words, flush=True)


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


@contextmanager
def _started_database(settings: Settings) -> Iterator[Settings]:
    """The settings with the URL of the database, which is started or made where it is the folder's own."""
    if settings.database_url is None:
        there = (settings.folder / "postgres" / "PG_VERSION").exists()
        _say(f"{'starting' if there else 'making'} PostgreSQL in {settings.folder} …")
    else:
        _say("connecting to PostgreSQL …")
    with database(settings, wait=True, create=True) as running:
        yield running


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Keep a second `up` off this data folder."""
    make_private(settings.folder)
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


async def _prepare(settings: Settings, where: str) -> str:
    """Schema, the first customer, and what a killed predecessor left; what to tell the user."""
    assert settings.database_url is not None
    async with connect(settings.database_url, size=2) as pool:
        async with pool.connection() as connection:
            await migrate(connection)
        async with pool.connection() as connection:
            greeting = await _greet(connection, settings, where)
            await puts.forget_all(connection)
    return greeting


async def _greet(connection: Connection, settings: Settings, where: str) -> str:
    customer = await first_customer(connection)
    if customer is not None:
        told = f"customer: {customer.id}\nA new token: caravan tokens create --customer {customer.id}{where}"
    else:
        number, token = await _first_customer(connection)
        told = f"customer: {number}\ntoken: {token}"
    return "\n".join([told, *await _greet_first_user(connection, settings)])


async def _first_customer(connection: Connection) -> tuple[int, str]:
    async with connection.transaction():
        number = await add_customer(connection, "first", Clock().now())
        actor = machine_user(number)
        await audit.record(connection, actor, "add_customer", f"customer {number}", {"name": "first"})
        return number, await create_token(connection, Manager(actor, None), number, "first", Clock())


async def _greet_first_user(connection: Connection, settings: Settings) -> list[str]:
    """How to sign in to the console, where nobody can yet."""
    async with connection.transaction():
        made = await first_user(connection, settings.operator_email)
        if made is None:
            return []
        email, password = made
        await audit.record(connection, machine_user(None), "add_user", f"user {email}", {"role": "operator"})
    return [f"console: sign in at /console/ as {email}", f"one-time password: {password}"]


def _children(leash: Leash, settings: Settings, door: socket.socket, url: str) -> Starts:
    count = worker_count(settings)
    environment = {**child_environment(settings, count), OWN_URL: url}
    yield from serve_child(leash, environment, door)
    yield from worker_children(leash, environment, count)
    yield from bounces_child(leash, environment, settings)


def _wait_until_ready(url: str, supervisor: Supervisor, stop: StopSignal) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not stop.asked:
        supervisor.check()
        with suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        if time.monotonic() > deadline:
            raise Unavailable(f"The API was not ready within {_READY_SECONDS:.0f} seconds.")
        stop.wait(0.05)


def _reachable(host: str) -> str:
    """An address of this machine at which a socket bound to `host` answers."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)


def _keep_running(supervisor: Supervisor, postgres: PostgresKeeper | None, stop: StopSignal) -> None:
    while not stop.asked:
        stop.wait(_LOOK_EVERY)
        if stop.asked:
            return
        if postgres:
            postgres.look()
        supervisor.look()
