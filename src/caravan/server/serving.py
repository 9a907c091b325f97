"""One process of an installation: the API or a worker."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import uvloop

from caravan.bootstrap import open_engine
from caravan.engine import worker as workers
from caravan.errors import WrongUsage
from caravan.queue.recovery import on_watch
from caravan.server.children import child_environment, worker_children
from caravan.server.leash import Leash, obey
from caravan.server.shares import processes_of, queues_of_process, share, worker_count
from caravan.server.supervisor import StopSignal, Supervisor, say
from caravan.settings import RELAY_AWAY, SANDBOX_NOTICE, SMS_AWAY, Settings
from caravan.store.database import connect
from caravan.store.migrate import check_schema
from caravan.store.queues import Queue

_THREADS = 64
_LOOK_EVERY = 1.0  # seconds
_NICENESS = 10  # where both share a machine, reading and sending must not starve the doors


def run_serve(settings: Settings, fd: int | None) -> None:
    """Run the API until a signal."""
    import uvicorn

    from caravan.api.app import create_app
    from caravan.console.app import install

    obey()

    async def serve() -> None:
        _make_threads()
        _collect_garbage()
        async with open_engine(settings) as (engine, _):
            async with engine.pool.connection() as connection:
                await check_schema(connection)
            app = create_app(engine)
            install(app)
            config = uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                log_config=None,  # its lines look like all others
                log_level="warning",
                access_log=False,  # it would hold the signatures of upload URLs
                timeout_graceful_shutdown=5,
            )
            server = uvicorn.Server(config)
            if fd is None:
                print(f"Caravan's API listens at http://{settings.host}:{settings.port}", flush=True)
            async with on_watch(engine.pool, settings.folder):
                await server.serve(None if fd is None else [door(fd)])

    uvloop.run(serve())


def door(fd: int) -> socket.socket:
    """The socket that was handed down. Given only its number, uvicorn takes it for a Unix socket, without
    TCP_NODELAY, and many an answer then waits 40 ms for the acknowledgement of its own first half.
    """
    return socket.socket(fileno=fd)


def run_worker(settings: Settings, queues: Mapping[str, int], number: int = 1) -> None:
    """Run one worker process, the `number`th of this machine's, on its part of these queues, {queue: jobs at once},
    until a signal."""
    obey()
    queues = queues_of_process(queues, number)
    settings = share(settings, worker_count(settings))
    os.nice(_NICENESS)

    async def work() -> None:
        _make_threads()
        _collect_garbage()
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with open_engine(settings) as (engine, app):
            async with engine.pool.connection() as connection:
                await check_schema(connection)
            await workers.work(app, engine, queues, stop)

    uvloop.run(work())


def run_workers(settings: Settings, queues: Mapping[str, int], arguments: Sequence[str]) -> None:
    """Run as many worker processes as the settings say until a signal, and start again those that end.

    `arguments` is what the command line said of the queues. Where one process is enough, it is this one.
    """
    count = processes_of(queues, worker_count(settings))
    asyncio.run(_check_database(settings))
    say(what_is_served(settings, queues, count))
    for marker in (RELAY_AWAY, SMS_AWAY):
        (settings.folder / marker).unlink(missing_ok=True)
    if count == 1:
        return run_worker(settings.model_copy(update={"workers": 1}), queues)
    environment = child_environment(settings, count)
    stop = StopSignal()
    with Leash() as leash, Supervisor(worker_children(leash, environment, count, arguments)) as supervisor:
        while not stop.asked:
            stop.wait(_LOOK_EVERY)
            if not stop.asked:
                supervisor.look()


def what_is_served(settings: Settings, queues: Mapping[str, int], processes: int) -> str:
    """What workers with these queues do, and what they leave to others, in one line."""
    missing = [queue for queue in workers.CONCURRENCY if queue not in queues]
    subject = "1 worker process serves" if processes == 1 else f"{processes} worker processes serve"
    told = [f"{subject} {', '.join(queues)}"]
    if missing:
        told.append(f"other workers must serve {', '.join(missing)}")
    if Queue.DELIVER in queues and settings.smtp_url is None:
        told.append(SANDBOX_NOTICE)
    return "; ".join(told)


async def _check_database(settings: Settings) -> None:
    """Raise `Unavailable` if no worker could work: children that end at once would be started again for ever."""
    assert settings.database_url is not None
    async with connect(settings.database_url, size=1) as pool, pool.connection() as connection:
        await check_schema(connection)


def _make_threads() -> None:
    """Threads for all that blocks. Most wait for a store; of as few as there are by default, a slow one takes all."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "caravan"))


def _collect_garbage() -> None:
    """All is imported, so the garbage collector looks as often as Python has it, and not at what there is by now."""
    gc.freeze()
    gc.set_threshold(700, 10, 10)


def queues_of(queues: str | None, concurrency: int | None) -> dict[str, int]:
    """What the options of `caravan worker` mean, {queue: jobs at once}. Raises `WrongUsage` for a queue that there is
    not. A worker with the queue `advance` gathers singles too, and one with `deliver` sends what is paced, as before
    these had queues of their own."""
    known = workers.CONCURRENCY
    names = list(known) if queues is None else [name.strip() for name in queues.split(",")]
    if Queue.ADVANCE in names and Queue.SINGLES not in names:
        names.append(Queue.SINGLES)
    if Queue.DELIVER in names and Queue.PACED not in names:
        names.append(Queue.PACED)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise WrongUsage(f"--queues: there is no queue {unknown[0]!r}; there are {', '.join(known)}.")
    return {name: concurrency or known[name] for name in names}
