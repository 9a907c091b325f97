"""`up`, `serve`, `worker`, `bounces`, `migrate`, `demo`: what runs."""

from typing import Annotated

import typer

from caravan.cli.session import Data, start_logging
from caravan.server.data_folder import database
from caravan.settings import read_settings

Host = Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Worker processes (CARAVAN_WORKERS).", show_default="one for each core")
]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.", show_default="8080")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (up, serve, worker, bounces, migrate, demo):
        app.command()(command)


def up(data: Data = None, host: Host = None, port: Port = None, workers: Workers = None) -> None:
    """Run everything in one process tree: PostgreSQL, API and workers. Stop it with SIGTERM or Ctrl-C.

    Example: caravan up --data ./caravan-data --port 8080
    """
    from caravan.server.up import run_up

    settings = read_settings(data=data, host=host, port=port, workers=workers)
    start_logging(settings)
    run_up(settings)


def serve(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    fd: Annotated[int | None, typer.Option(help="Serve on this open socket instead.", hidden=True)] = None,
) -> None:
    """Run the API only, on CARAVAN_DATABASE_URL or the data folder.

    Example: CARAVAN_DATABASE_URL=postgresql://db/caravan caravan serve --host 0.0.0.0
    """
    from caravan.server.serving import run_serve

    settings = read_settings(data=data, host=host, port=port)
    start_logging(settings)
    with database(settings) as running:
        run_serve(running, fd)


def worker(
    data: Data = None,
    queues: Annotated[
        str | None,
        typer.Option(help="Queues to work on: fetch,intake,spans,singles,advance,deliver,upkeep.", show_default="all"),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Jobs of each queue at once in one process.", show_default="by queue")
    ] = None,
    workers: Workers = None,
    number: Annotated[int | None, typer.Option(help="Be this one of the workers.", hidden=True)] = None,
) -> None:
    """Run workers only, on CARAVAN_DATABASE_URL or the data folder. Start it on as many machines as you like.

    Example: caravan worker --queues deliver --concurrency 8
    """
    from caravan.server.serving import queues_of, run_worker, run_workers

    served = queues_of(queues, concurrency)
    settings = read_settings(data=data, workers=workers)
    start_logging(settings)
    with database(settings) as running:
        if number is not None:
            run_worker(running, served, number)
        else:
            run_workers(running, served, _options(queues, concurrency))


def _options(queues: str | None, concurrency: int | None) -> list[str]:
    """The options of `caravan worker` that say this."""
    told = {"--queues": queues, "--concurrency": concurrency}
    return [word for name, value in told.items() if value is not None for word in (name, str(value))]


def bounces(data: Data = None) -> None:
    """Take mail that comes back, at CARAVAN_BOUNCE_URL, for CARAVAN_BOUNCE_DOMAIN.

    Example: CARAVAN_BOUNCE_DOMAIN=bounces.example.com CARAVAN_BOUNCE_URL=lmtp://127.0.0.1:2424 caravan bounces
    """
    from caravan.server.bounces import run_bounces

    settings = read_settings(data=data)
    start_logging(settings)
    with database(settings) as running:
        run_bounces(running)


def migrate(data: Data = None) -> None:
    """Bring the database to this version's schema.

    Example: CARAVAN_DATABASE_URL=postgresql://db/caravan caravan migrate
    """
    import asyncio

    from caravan.store.database import connect
    from caravan.store.migrate import migrate as apply

    async def run(url: str) -> list[str]:
        async with connect(url, size=1) as pool, pool.connection() as connection:
            return await apply(connection)

    # Once it is done nothing runs on the folder: a restore starts its own PostgreSQL there.
    with database(read_settings(data=data), wait=True, create=True) as running:
        assert running.database_url is not None
        done = asyncio.run(run(running.database_url))
    typer.echo("\n".join(f"applied {name}" for name in done) or "nothing to do: the schema is current")


def demo(
    contacts: Annotated[int, typer.Option(min=100, help="Contacts in the large file.")] = 20_000,
    keep: Annotated[bool, typer.Option(help="Keep the demo's folder.")] = False,
) -> None:
    """Start a real system in a temporary folder, send files of contacts through it, and check every count.

    Example: caravan demo
    """
    from caravan.demo.demo import run_demo

    raise typer.Exit(run_demo(contacts, keep=keep))
