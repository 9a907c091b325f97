"""`suppressions`: who must not be written to."""

import getpass
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caravan.cli.customers import Json
from caravan.cli.session import Data, with_engine
from caravan.settings import read_settings

if TYPE_CHECKING:
    from caravan.engine.engine import Engine
    from caravan.engine.suppression_files import Imported
    from caravan.engine.suppressions import By
    from caravan.store.suppressions import Suppression

Customer = Annotated[int, typer.Option("--customer", help="The customer's number.")]
Channel = Annotated[str, typer.Option(help="email, webhook, …")]
Topic = Annotated[str | None, typer.Option(help="Only steps with this topic; without it, all of the channel.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    suppressions = typer.Typer(help="Suppressions: who must not be written to.", no_args_is_help=True)
    suppressions.command("list")(list_)
    suppressions.command("add")(add)
    suppressions.command("remove")(remove)
    suppressions.command("import")(import_)
    suppressions.command("export")(export)
    app.add_typer(suppressions, name="suppressions")


def list_(
    customer: Customer,
    address: Annotated[str | None, typer.Option(help="Only addresses that begin so.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only this channel.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 100,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List suppressions, newest first, or by address.

    Example: caravan suppressions list --customer 1001 --address anna@
    """
    from caravan.engine import suppression_files
    from caravan.engine.suppressions import channel_names
    from caravan.store import suppressions as store

    wanted = store.Wanted(limit, channel, address.strip().lower() if address else None, None, reason)

    async def work(engine: "Engine") -> "list[Suppression]":
        await _check(engine, customer)
        async with engine.pool.connection() as connection:
            return await store.page(connection, customer, wanted, channel_names(engine))

    for each in with_engine(read_settings(data=data), work):
        if as_json:
            typer.echo(json.dumps(suppression_files.as_json(each), ensure_ascii=False))
        else:
            about = each.topic or "everything"
            typer.echo(f"{each.address}  {each.channel}  {about}  {each.reason}  {each.at:%Y-%m-%d}  by {each.who}")


def add(
    addresses: Annotated[list[str], typer.Argument(help="Addresses.")],
    customer: Customer,
    channel: Channel = "email",
    topic: Topic = None,
    reason: Annotated[
        str, typer.Option(help="unsubscribed, hard_bounce, complaint, stop, manual or import.")
    ] = "manual",
    detail: Annotated[str | None, typer.Option(help="What for, in words.")] = None,
    data: Data = None,
) -> None:
    """Suppress addresses: nothing is sent to them any more.

    Example: caravan suppressions add anna@example.com --customer 1001
    """
    from caravan.engine.suppressions import channel_names, entry
    from caravan.store import suppressions as store

    async def work(engine: "Engine") -> int:
        await _check(engine, customer)
        by, now, channels = _by("command"), engine.clock.now(), channel_names(engine)
        entries = [
            entry(channels, by, now, address=each, channel=channel, topic=topic, reason=reason, detail=detail)
            for each in addresses
        ]
        async with engine.pool.connection() as connection, connection.transaction():
            return await store.add(connection, customer, entries)

    added = with_engine(read_settings(data=data), work)
    typer.echo(f"{added} added, {len(addresses) - added} known before")


def remove(
    address: Annotated[str, typer.Argument(help="The address.")],
    customer: Customer,
    channel: Channel = "email",
    topic: Topic = None,
    reason: Annotated[str | None, typer.Option(help="Only for this reason.")] = None,
    data: Data = None,
) -> None:
    """Lift the suppressions of an address; they stay in its history.

    Example: caravan suppressions remove anna@example.com --customer 1001
    """
    from caravan.engine.suppressions import address_of
    from caravan.errors import NotFound
    from caravan.store import suppressions as store

    async def work(engine: "Engine") -> int:
        await _check(engine, customer)
        by, found = _by("command"), address_of(channel, address)
        async with engine.pool.connection() as connection, connection.transaction():
            return await store.lift(
                connection,
                customer,
                channel,
                found,
                topic=topic,
                reason=reason,
                who=by.who,
                source=by.way,
                now=engine.clock.now(),
            )

    removed = with_engine(read_settings(data=data), work)
    if not removed:
        raise NotFound(f"{address} is not suppressed so.")
    typer.echo(f"{address}: {removed} lifted")


def import_(
    file: Annotated[Path, typer.Argument(help="A CSV or NDJSON file.", exists=True, dir_okay=False)],
    customer: Customer,
    format: Annotated[str | None, typer.Option(help="csv or ndjson; by the file's name if left out.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Suppress all addresses of a list. Lines that can't be used are told on stderr, and all others are taken.

    Example: caravan suppressions import unsubscribed.csv --customer 1001
    """
    from caravan.engine.suppression_files import Format, Importer
    from caravan.engine.suppressions import channel_names
    from caravan.errors import InvalidInput, WrongUsage

    kind = format or ("csv" if file.suffix.lower() in (".csv", ".txt") else "ndjson")
    if kind not in list(Format):
        raise WrongUsage(f"{kind!r} is no format; those are {', '.join(Format)}.")

    async def work(engine: "Engine") -> "Imported":
        await _check(engine, customer)
        importer = Importer(engine.pool, customer, channel_names(engine), _by("import"), engine.clock.now())
        with file.open("rb") as source:
            return await importer.add(source, Format(kind))

    found = with_engine(read_settings(data=data), work)
    for line, message in found.refusals:
        typer.echo(f"line {line}: {message}", err=True)
    if as_json:
        counts = {"lines": found.lines, "added": found.added, "known": found.known, "refused": found.refused}
        typer.echo(json.dumps(counts))
    else:
        typer.echo(f"{found.added:,} added, {found.known:,} known before, {found.refused:,} refused")
    if found.lines and found.refused == found.lines:
        raise InvalidInput("No line of the list could be used.")


def export(
    customer: Customer,
    format: Annotated[str, typer.Option(help="csv or ndjson.")] = "csv",
    channel: Annotated[str | None, typer.Option(help="Only this channel.")] = None,
    data: Data = None,
) -> None:
    """Write all suppressions to stdout, oldest first; `import` reads them back.

    Example: caravan suppressions export --customer 1001 > suppressions.csv
    """
    from caravan.engine import suppression_files
    from caravan.errors import WrongUsage

    if format not in list(suppression_files.Format):
        raise WrongUsage(f"{format!r} is no format; those are {', '.join(suppression_files.Format)}.")

    async def work(engine: "Engine") -> None:
        await _check(engine, customer)
        kind = suppression_files.Format(format)
        async for piece in suppression_files.export(engine.pool, customer, kind, channel):
            sys.stdout.write(piece)

    with_engine(read_settings(data=data), work)


async def _check(engine: "Engine", customer: int) -> None:
    from caravan.errors import NotFound
    from caravan.store.customers import has_customer

    async with engine.pool.connection() as connection:
        if not await has_customer(connection, customer):
            raise NotFound(f"There is no customer {customer}.")


def _by(way: str) -> "By":
    from caravan.engine.suppressions import By
    from caravan.store.suppressions import Way

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = f"uid {os.getuid()}"
    return By(f"command {name}", Way(way))
