"""`journeys check` and `journeys apply`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from caravan.cli.session import database
from caravan.errors import InvalidDefinition, InvalidInput
from caravan.settings import read_settings

Files = Annotated[list[Path], typer.Argument(help="Journey files (YAML or JSON).")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    journeys = typer.Typer(help="Journeys as files.", no_args_is_help=True)
    journeys.command("check")(check)
    journeys.command("apply")(apply)
    app.add_typer(journeys, name="journeys")


def check(
    files: Files, as_json: Annotated[bool, typer.Option("--json", help="One JSON object a file.")] = False
) -> None:
    """Check journey files whole, without a server: every problem with its line.

    Example: caravan journeys check journeys/*.yaml
    """
    from caravan.channels.registry import STEP_TYPES
    from caravan.journeys.definition import read_journey

    failed = False
    for file in files:
        problems, steps = [], 0
        try:
            steps = len(read_journey(_text(file), STEP_TYPES).steps)
        except InvalidDefinition as error:
            problems, failed = error.problems, True
        if as_json:
            shown = [{"line": p.line, "where": p.where, "message": p.message} for p in problems]
            typer.echo(json.dumps({"file": str(file), "ok": not problems, "problems": shown}))
        elif problems:
            for problem in problems:
                typer.echo(f"{file}:{problem.line}: {problem.where}: {problem.message}", err=True)
        else:
            typer.echo(f"{file}: ok, {steps} steps")
    if failed:
        raise typer.Exit(1)


def apply(
    file: Annotated[Path, typer.Argument(help="A journey file.")],
    customer: Annotated[int, typer.Option(help="The customer's number.")],
) -> None:
    """Publish a journey file as a new version. Batches that run keep theirs.

    Example: caravan journeys apply spring.yaml --customer 1001
    """
    import asyncio

    from caravan.bootstrap import open_engine
    from caravan.engine.publish import publish
    from caravan.errors import NotFound
    from caravan.settings import Settings
    from caravan.store.customers import has_customer
    from caravan.store.journeys import Published
    from caravan.store.migrate import migrate

    async def run(settings: Settings) -> Published:
        async with open_engine(settings) as (engine, _):
            async with engine.pool.connection() as connection:
                await migrate(connection)
            async with engine.pool.connection() as connection:
                if not await has_customer(connection, customer):
                    raise NotFound(f"There is no customer {customer}; `caravan customers add NAME` makes one.")
            return await publish(engine, customer, _text(file))

    with database(read_settings()) as running:
        published = asyncio.run(run(running))
    typer.echo(f"journey {published.journey} ({published.name}) is published as version {published.version}")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} is not UTF-8.") from None
    except OSError as error:
        raise InvalidInput(f"{file} can't be read: {error.strerror}.") from None
