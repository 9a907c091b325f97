"""`events`: what contacts did."""

import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caravan.cli.customers import Json
from caravan.cli.session import Data, with_engine
from caravan.errors import InvalidInput, NotFound, WrongUsage
from caravan.settings import read_settings

if TYPE_CHECKING:
    from caravan.engine.engine import Engine

_LINES = 10_000  # that are taken together
_STDIN = Path("-")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    events = typer.Typer(help="Events: what contacts did.", no_args_is_help=True)
    events.command("send")(send)
    app.add_typer(events, name="events")


def send(
    customer: Annotated[int, typer.Option("--customer", help="The customer's number.")],
    file: Annotated[
        Path | None, typer.Argument(help="A file with an event on each line; .gz too. - reads standard input.")
    ] = None,
    contact: Annotated[str | None, typer.Option("--id", help="The contact's id, for one event without a file.")] = None,
    event: Annotated[str | None, typer.Option(help="What that contact did, like purchase.")] = None,
    at: Annotated[str | None, typer.Option(help="When, like 2026-05-04T09:30:00Z. Default: now.")] = None,
    properties: Annotated[str | None, typer.Option(help="A JSON object.")] = None,
    key: Annotated[str | None, typer.Option(help="Of two events with the same key the first counts.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take events: of a file, or one. Lines that can't be used are told on stderr, and all others are taken.

    Example: caravan events send events.ndjson --customer 1001

    Example: caravan events send --customer 1001 --id anna --event purchase --properties '{"total": 120}'
    """
    if (file is None) == (contact is None) or (event is None) != (contact is None):
        raise WrongUsage("name a file with events, or --id and --event of one.")
    if file is not None and file != _STDIN and not file.is_file():
        raise InvalidInput(f"{file} is no file.")
    given = None if contact is None else _given(contact, event, at, properties, key)
    counts = with_engine(read_settings(data=data), lambda engine: _send(engine, customer, file, given))
    if as_json:
        typer.echo(json.dumps(counts))
    else:
        typer.echo("{taken:,} taken, {duplicates:,} known before, {refused:,} refused".format(**counts))
    if counts["refused"] and not counts["taken"] + counts["duplicates"]:
        raise InvalidInput("None of the events could be used.")


def _given(contact: str, event: str | None, at: str | None, properties: str | None, key: str | None) -> bytes:
    try:
        content = None if properties is None else json.loads(properties)
    except ValueError:
        raise WrongUsage(f'--properties is a JSON object like {{"total": 120}}, not {properties!r}.') from None
    whole = {"id": contact, "event": event, "at": at, "properties": content, "key": key}
    return json.dumps(whole).encode()


async def _send(engine: "Engine", customer: int, file: Path | None, given: bytes | None) -> dict[str, int]:
    from caravan.engine.reports import read_list, report_list
    from caravan.store.customers import has_customer

    counts, before = {"taken": 0, "duplicates": 0, "refused": 0}, 0
    async with engine.pool.connection() as connection:
        if not await has_customer(connection, customer):
            raise NotFound(f"There is no customer {customer}.")
    for some in _batches([given] if given is not None else _lines(file)):
        reading = await read_list(engine, b"\n".join(some))
        async with engine.pool.connection() as connection:
            taken = (await report_list(connection, customer, reading)).taken
        for line, message in reading.refusals:
            typer.echo(f"line {before + line}: {message}", err=True)
        counts["taken"] += taken.taken
        counts["duplicates"] += taken.duplicates
        counts["refused"] += reading.refused
        before += len(some)
    return counts


def _lines(file: Path | None) -> Iterator[bytes]:
    assert file is not None
    if file == _STDIN:
        yield from (line.rstrip(b"\n") for line in sys.stdin.buffer)
        return
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as source:
        yield from (line.rstrip(b"\n") for line in source)


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    waiting = iter(lines)
    while some := list(islice(waiting, _LINES)):
        yield some
