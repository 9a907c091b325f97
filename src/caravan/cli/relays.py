"""`channels relay`: mail relays by name, beside that of CARAVAN_SMTP_URL."""

import json
import re
from typing import TYPE_CHECKING, Annotated

import typer

from caravan.cli.session import Data, record, with_engine
from caravan.errors import InvalidInput, NotFound
from caravan.settings import read_settings

if TYPE_CHECKING:
    from caravan.engine.engine import Engine
    from caravan.store.relays import NamedRelay

_HELP = """Mail relays by name, beside that of CARAVAN_SMTP_URL.

Example: caravan channels relay list
"""
Customer = Annotated[int | None, typer.Option(help="The customer's number.", show_default="all customers")]
Name = Annotated[str, typer.Argument(help="Its name: small letters, digits and hyphens.")]


def relay_commands() -> typer.Typer:
    """These commands."""
    room = typer.Typer(help=_HELP, no_args_is_help=True)
    room.command("add")(add)
    room.command("list")(list_)
    room.command("remove")(remove)
    return room


def add(
    name: Name,
    url_from: Annotated[str, typer.Option(help="Where workers find its URL: env:NAME, or file:/path. Never the URL.")],
    customer: Customer = None,
    weight: Annotated[
        int, typer.Option(min=0, max=1000, help="Its part of the mails whose step names no relay; 0 for none.")
    ] = 0,
    fallback: Annotated[
        str | None,
        typer.Option(help="The relay that stands in for it while it is stopped; `default` is CARAVAN_SMTP_URL's."),
    ] = None,
    data: Data = None,
) -> None:
    """Add a relay, or change the one of that name. A step chooses it by `relay: NAME`.

    Example: caravan channels relay add marketing --url-from env:MARKETING_SMTP_URL --fallback default
    """
    from caravan.channels.choice import RELAY_NAME
    from caravan.channels.relays import DEFAULT, check_url_from
    from caravan.engine.paces import relay_key
    from caravan.store import relays
    from caravan.store.customers import has_customer
    from caravan.store.relays import NamedRelay

    if not re.fullmatch(RELAY_NAME, name) or name == DEFAULT:
        raise InvalidInput("A relay's name has small letters, digits and hyphens, at most 32, and is not `default`.")
    found = NamedRelay(customer, name, check_url_from(url_from), weight, fallback)

    async def work(engine: "Engine") -> None:
        async with engine.pool.connection() as connection, connection.transaction():
            if customer is not None and not await has_customer(connection, customer):
                raise NotFound(f"There is no customer {customer}.")
            if fallback is not None:
                await relay_key(connection, customer, fallback)
            await relays.add(connection, found, engine.clock.now())
            detail = {"urlFrom": url_from, "weight": weight, "fallback": fallback}
            await record(connection, customer, "add_relay", f"relay {name}", detail)

    with_engine(read_settings(data=data), work)


def list_(
    customer: Customer = None,
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the relays, and where their URLs are.

    Example: caravan channels relay list
    """
    from caravan.store import relays

    async def work(engine: "Engine") -> "list[NamedRelay]":
        async with engine.pool.connection() as connection:
            return await relays.all_relays(connection, customer)

    for each in with_engine(read_settings(data=data), work):
        if as_json:
            told = {"name": each.name, "customer": each.customer, "urlFrom": each.url_from, "weight": each.weight}
            typer.echo(json.dumps({**told, "fallback": each.fallback}))
            continue
        whose = "all customers" if each.customer is None else f"customer {each.customer}"
        typer.echo(f"{each.name}  {whose}  {each.url_from}  weight: {each.weight}  fallback: {each.fallback or 'none'}")


def remove(name: Name, customer: Customer = None, data: Data = None) -> None:
    """Remove a relay. Steps that name it wait until there is one of that name.

    Example: caravan channels relay remove marketing
    """
    from caravan.store import relays

    async def work(engine: "Engine") -> bool:
        async with engine.pool.connection() as connection, connection.transaction():
            if there := await relays.remove(connection, customer, name):
                await record(connection, customer, "remove_relay", f"relay {name}")
            return there

    if not with_engine(read_settings(data=data), work):
        raise NotFound(f"There is no relay {name[:40]!r}.")
