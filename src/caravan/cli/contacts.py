"""`contacts check`: what the server would say of a file, without a server. `contacts show`: one contact, over HTTP.
`contacts forget`: nothing is kept of one."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caravan.cli.batch import Json, open_client
from caravan.cli.session import Data, record, with_engine
from caravan.errors import FileFailed, InvalidInput, NotFound
from caravan.settings import read_settings

if TYPE_CHECKING:
    from caravan.client import Contact, Stay
    from caravan.engine.engine import Engine
    from caravan.store.database import Connection
    from caravan.store.erasures import Erasure

_PATIENCE = 60.0  # seconds for which the command waits for the end
_PAUSE = 5.0  # seconds between two looks


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    contacts = typer.Typer(help="Files of contacts.", no_args_is_help=True)
    contacts.command("check")(check)
    contacts.command("show")(show)
    contacts.command("forget")(forget)
    app.add_typer(contacts, name="contacts")


def check(
    file: Annotated[Path, typer.Argument(help="A file of contacts, one JSON object a line; .gz and .zst too.")],
    as_json: Annotated[bool, typer.Option("--json", help="The receipt as one JSON object.")] = False,
) -> None:
    """Read a file as the server would, with the same code, and print the receipt. Exit 1 if the batch would fail.

    Example: caravan contacts check contacts.ndjson
    """
    from caravan.intake.reading import Limits, read_contacts
    from caravan.intake.receipt import tell, to_json

    if not file.is_file():
        raise InvalidInput(f"{file} is no file.")
    with tempfile.TemporaryDirectory(prefix="caravan-check-") as folder:
        try:
            receipt = read_contacts(file, Path(folder), Limits.from_settings(read_settings()))
        except FileFailed as error:
            _tell_failure(error, as_json)
            raise typer.Exit(1) from None
        typer.echo(json.dumps(to_json(receipt), ensure_ascii=False) if as_json else tell(receipt))
        if receipt.failure is not None:
            raise typer.Exit(1)


def _tell_failure(error: FileFailed, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"error": f"{error.code}: {error.message}", "errorCode": error.code}))
    else:
        print(f"caravan: {error.code}: {error.message}", file=sys.stderr)


def show(
    contact: Annotated[str, typer.Argument(help="The contact's id.")],
    limit: Annotated[int, typer.Option(help="Look through the newest so many batches.")] = 200,
    as_json: Json = False,
) -> None:
    """Tell what happened to one contact in every batch, and why.

    Example: caravan contacts show 10042
    """
    with open_client() as client:
        found = client.contact(contact, limit=limit)
    typer.echo(json.dumps(found.raw, ensure_ascii=False) if as_json else "\n".join(_told(found)))


def _told(found: "Contact") -> list[str]:
    lines = [f"{found.id}: looked through the newest {found.looked:,} of {found.of_batches:,} batches"]
    for entry in found.entries:
        lines.append(f"{entry.batch}  journey {entry.journey} version {entry.version}, line {entry.line:,}")
        for stay in entry.stays:
            lines.append(f"  {stay.at.isoformat()} {stay.step} {stay.outcome} {stay.detail or ''}".rstrip())
            lines += _reasons(stay)
    return lines


def _reasons(stay: "Stay") -> list[str]:
    if stay.why is None:
        return []
    lines = []
    for each in stay.why["conditions"]:
        values = "; ".join(f"{v['property']} {v['value']!r} as {v['as']}: {v['read']!r}" for v in each["values"])
        lines.append(f"    {'true ' if each['true'] else 'false'} {each['if']} -> {each['to']} ({values})")
    return lines + [f"    weight {each['weight']:g} -> {each['to']}" for each in stay.why["arms"]]


def forget(
    contact: Annotated[str, typer.Argument(help="The contact's id.")],
    customer: Annotated[int, typer.Option(help="The customer's number.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Delete what is kept of one contact in all batches: id, properties, messages, events. Counts, line numbers and
    suppressions stay. The exit code is 1 if that has to go on in the workers.

    Example: caravan contacts forget 10042 --customer 1001
    """
    from caravan.engine.erasure import erase, request
    from caravan.store import customers

    async def work(engine: "Engine") -> "Erasure":
        async def note(connection: "Connection", erasure: int) -> None:
            await record(connection, customer, "forget_contact", f"erasure {erasure}")

        async with engine.pool.connection() as connection:
            if not await customers.has_customer(connection, customer):
                raise NotFound(f"There is no customer {customer}; `caravan customers list` shows all.")
        found = await request(engine, customer, contact, note)
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while (found := await erase(engine, found.id)).finished_at is None:
            if asyncio.get_running_loop().time() + _PAUSE > deadline:
                break
            await asyncio.sleep(_PAUSE)
        return found

    found = with_engine(read_settings(data=data), work)
    if as_json:
        typer.echo(
            json.dumps({"id": found.id, "finished": found.finished_at is not None, "erased": dict(found.erased)})
        )
    else:
        counts = [f"{kind}: {count:,}" for kind, count in found.erased.items() if count]
        typer.echo(f"forgotten ({', '.join(counts) or 'nothing was kept'})")
    if found.finished_at is None:
        print(f"caravan: The workers go on with erasure {found.id}: {found.waiting_for}.", file=sys.stderr)
        raise typer.Exit(1)
