"""`journeys check` and `apply`, and over HTTP `pause`, `resume` and `cancel` of all batches of one."""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caravan.cli import moves
from caravan.cli.batch import open_client
from caravan.cli.session import Data, record
from caravan.errors import InvalidInput, Problem, WrongUsage
from caravan.server.data_folder import database
from caravan.settings import Settings, read_settings

if TYPE_CHECKING:
    from caravan.engine.publish import Publication
    from caravan.intake.properties import Properties

Files = Annotated[list[Path], typer.Argument(help="Journey files (YAML or JSON).")]
Number = Annotated[int, typer.Argument(help="The journey's number.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON for programs.")]
Contacts = Annotated[
    Path | None,
    typer.Option(help="A file of contacts: warn of properties that the journeys use and none of its contacts has."),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    journeys = typer.Typer(help="Journeys as files.", no_args_is_help=True)
    journeys.command("check")(check)
    journeys.command("apply")(apply)
    for command in (pause, resume, cancel):
        journeys.command(command.__name__)(command)
    moves.add_to(journeys)
    app.add_typer(journeys, name="journeys")


def check(
    files: Files,
    contacts: Contacts = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a file.")] = False,
) -> None:
    """Check journey files whole, without a server: every problem and warning with its line. Exit 1 for problems only.

    Example: caravan journeys check journeys/*.yaml --contacts contacts.ndjson
    """
    with _properties(contacts) as properties:
        results = [_check(file, properties, as_json) for file in files]
    if not all(results):
        raise typer.Exit(1)


def _check(file: Path, properties: "Properties | None", as_json: bool) -> bool:
    """Check a file, print what was found, and return whether it can be published."""
    from caravan.channels.registry import STEP_TYPES
    from caravan.journeys.check import check_journey
    from caravan.journeys.unknown_properties import unknown_properties

    found = check_journey(_text(file), STEP_TYPES)
    warnings = list(found.warnings)
    if properties is not None:
        warnings = sorted({*warnings, *unknown_properties(found.uses, properties)})
    if as_json:
        told = {"problems": _shown(found.problems), "warnings": _shown(warnings)}
        typer.echo(json.dumps({"file": str(file), "ok": not found.problems, **told}, ensure_ascii=False))
        return not found.problems
    for problem in found.problems:
        typer.echo(f"{file}:{problem.line}: {_sentence(problem)}", err=True)
    _warn(file, warnings)
    if found.journey is not None:
        counts = [_count(len(found.journey.steps), "step"), *([_count(len(warnings), "warning")] if warnings else [])]
        typer.echo(f"{file}: ok, {', '.join(counts)}")
    return not found.problems


@contextmanager
def _properties(contacts: Path | None) -> "Iterator[Properties | None]":
    """The properties of a file of contacts, read as the server reads it."""
    if contacts is None:
        yield None
        return
    from caravan.intake.properties import Properties
    from caravan.intake.reading import Limits, read_contacts

    if not contacts.is_file():
        raise InvalidInput(f"{contacts} is no file.")
    with tempfile.TemporaryDirectory(prefix="caravan-check-") as folder:
        receipt = read_contacts(contacts, Path(folder), Limits.from_settings(read_settings()))
        if receipt.failure is not None:
            raise receipt.failure
        with Properties(receipt.parts) as properties:
            yield properties


def apply(
    file: Annotated[Path, typer.Argument(help="A journey file.")],
    customer: Annotated[int, typer.Option(help="The customer's number.")],
    data: Data = None,
    move_waiting: Annotated[
        bool,
        typer.Option(
            "--move-waiting", help="Move those who wait in older versions; who can and who can't is told first."
        ),
    ] = False,
    reschedule: moves.Reschedule = False,
) -> None:
    """Publish a journey file as a new version. Batches that run keep theirs.

    Over HTTP if CARAVAN_URL and CARAVAN_TOKEN are set, and neither a data folder (--data, CARAVAN_DATA) nor
    CARAVAN_DATABASE_URL; else on the database itself.

    Example: caravan journeys apply spring.yaml --customer 1001 --move-waiting
    """
    if reschedule and not move_waiting:
        raise WrongUsage("--reschedule goes with --move-waiting.")
    server, token = os.environ.get("CARAVAN_URL", "").strip(), os.environ.get("CARAVAN_TOKEN", "").strip()
    local = data is not None or bool(os.environ.get("CARAVAN_DATA") or os.environ.get("CARAVAN_DATABASE_URL"))
    wishes = _Wishes(move_waiting, reschedule)
    if server and token and not local:
        found = _publish_over_http(_text(file), server, customer, token, wishes)
    else:
        published = _publish(_text(file), read_settings(data=data), customer, wishes)
        found = (published.journey, published.name, published.version, published.warnings)
    journey, name, version, warnings = found
    _warn(file, warnings)
    typer.echo(f"journey {journey} ({name}) is published as version {version}")
    if move_waiting:
        typer.echo("those who can move do so within seconds; see `caravan journeys waiting`", err=True)


def pause(journey: Number, as_json: AsJson = False) -> None:
    """Pause all batches of a journey, also those that start meanwhile.

    Example: caravan journeys pause 4711
    """
    _change(journey, "pause", "paused", as_json)


def resume(journey: Number, as_json: AsJson = False) -> None:
    """Let all batches of a journey go on, but for those that are held for review.

    Example: caravan journeys resume 4711
    """
    _change(journey, "resume", "resumed", as_json)


def cancel(journey: Number, as_json: AsJson = False) -> None:
    """Recall all batches of a journey: everyone not yet reached leaves as cancelled.

    Example: caravan journeys cancel 4711
    """
    _change(journey, "cancel", "cancelled", as_json)


def _change(journey: int, change: str, done: str, as_json: bool) -> None:
    """Change all batches of a journey and print the ids of those that it changed."""
    with open_client() as client:
        act = {"pause": client.pause_journey, "resume": client.resume_journey, "cancel": client.cancel_journey}[change]
        batches = act(journey)
    if as_json:
        typer.echo(json.dumps({"journey": journey, "batches": batches}))
        return
    for each in batches:
        typer.echo(each)
    count = f"{len(batches)} batch{'' if len(batches) == 1 else 'es'}"
    typer.echo(f"journey {journey}: {count} {done}", err=True)


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What is to become of those who wait in older versions."""

    move: bool
    reschedule: bool


def _publish_over_http(
    source: str, server: str, customer: int, token: str, wishes: _Wishes
) -> tuple[int, str, int, list[Problem]]:
    """Journey, name, version and warnings, as the server answers. Only the server checks: it may know more steps."""
    from caravan.client import Client
    from caravan.journeys.definition import read_number

    with Client(server, customer, token) as client:
        number = read_number(source)
        if wishes.move and any(each.journey == number for each in client.journeys()):
            found = client.waiting(number, source, reschedule=wishes.reschedule)
            typer.echo(moves.told(found.steps, found.version), err=True)
        answer = client.publish(number, source)
        if wishes.move:
            client.move_waiting(number, reschedule=wishes.reschedule)
    warnings = [Problem(each["line"], each["where"], each["message"]) for each in answer.raw.get("warnings", [])]
    return answer.journey, answer.name, answer.version, warnings


def _publish(source: str, settings: Settings, customer: int, wishes: _Wishes) -> "Publication":
    import asyncio

    from caravan.bootstrap import open_engine
    from caravan.engine import moving
    from caravan.engine.publish import Publication, publish_draft, read_draft
    from caravan.errors import NotFound
    from caravan.store.customers import has_customer
    from caravan.store.migrate import check_schema

    async def run(running: Settings) -> Publication:
        async with open_engine(running) as (engine, _):
            async with engine.pool.connection() as connection:
                await check_schema(connection)
            draft = await read_draft(engine, customer, source)
            async with engine.pool.connection() as connection, connection.transaction():
                if not await has_customer(connection, customer):
                    raise NotFound(f"There is no customer {customer}; `caravan customers add NAME` makes one.")
                published = await publish_draft(engine, connection, customer, draft)
                detail = {"version": published.version, "name": published.name}
                await record(connection, customer, "publish", f"journey {published.journey}", detail)
                if wishes.move:
                    number = published.journey
                    version, found = await moving.request(
                        engine, connection, customer, number, reschedule=wishes.reschedule
                    )
                    typer.echo(moves.told(found, version), err=True)
                    how = {"version": version, "reschedule": wishes.reschedule}
                    await record(connection, customer, "move_waiting", f"journey {number}", how)
            return published

    with database(settings) as running:
        return asyncio.run(run(running))


def _warn(file: Path, warnings: Iterable[Problem]) -> None:
    for warning in warnings:
        typer.echo(f"{file}:{warning.line}: warning: {_sentence(warning)}", err=True)


def _sentence(problem: Problem) -> str:
    return f"{problem.where}: {problem.message}" if problem.where else problem.message


def _shown(problems: Iterable[Problem]) -> list[dict[str, str | int]]:
    return [each.to_json() for each in problems]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _text(file: Path) -> str:
    """The file's text, its line ends as they are."""
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} is not UTF-8.") from None
    except OSError as error:
        raise InvalidInput(f"{file} can't be read: {error.strerror}.") from None
