"""`customers` and `tokens`."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from caravan.cli.session import Data, operator, record, with_connection, with_engine
from caravan.settings import read_settings

if TYPE_CHECKING:
    from caravan.engine.engine import Engine
    from caravan.store.database import Connection

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Number = Annotated[int, typer.Argument(help="The customer's number.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    customers = typer.Typer(help="Customers: the tenants of this installation.", no_args_is_help=True)
    customers.command("add")(add)
    customers.command("list")(list_)
    customers.command("retain")(retain)
    customers.command("remove")(remove)
    app.add_typer(customers, name="customers")
    tokens = typer.Typer(help="Tokens of a customer.", no_args_is_help=True)
    tokens.command("create")(create)
    tokens.command("list")(list_tokens)
    tokens.command("revoke")(revoke)
    app.add_typer(tokens, name="tokens")


def add(name: Annotated[str, typer.Argument(help="The customer's name.")], data: Data = None) -> None:
    """Add a customer and print its number. A name that another customer has is refused.

    Example: caravan customers add "Example Shop"
    """
    from caravan.clock import Clock
    from caravan.store.customers import add_customer

    async def work(connection: "Connection") -> int:
        async with connection.transaction():
            number = await add_customer(connection, name, Clock().now())
            await record(connection, number, "add_customer", f"customer {number}", {"name": name})
        return number

    typer.echo(with_connection(read_settings(data=data), work))


def list_(data: Data = None, as_json: Json = False) -> None:
    """List the customers: number, name, tokens, and for how many days contacts are kept.

    Example: caravan customers list
    """
    from caravan.store.customers import list_customers

    settings = read_settings(data=data)
    for each in with_connection(settings, list_customers):
        kept = each["retention_days"] if each["retention_days"] is not None else settings.retention_days
        if as_json:
            shown = {key: each[key] for key in ("id", "name", "tokens")}
            shown |= {"retentionDays": kept, "createdAt": each["created_at"].isoformat()}
            typer.echo(json.dumps(shown, ensure_ascii=False))
        else:
            typer.echo(f"{each['id']}  {each['name']}  tokens: {each['tokens']}  kept for {kept} days")


def remove(customer: Number, data: Data = None) -> None:
    """Remove a customer with all that belongs to it: batches are cancelled, then rows and files are deleted.

    Example: caravan customers remove 1001
    """
    from caravan.engine.removal import remove_customer

    async def work(engine: "Engine") -> int:
        async def note(connection: "Connection") -> None:
            await record(connection, customer, "remove_customer", f"customer {customer}")

        return await remove_customer(engine, customer, note)

    batches = with_engine(read_settings(data=data), work)
    typer.echo(f"{customer}: removed, with {batches} batches")


def retain(
    customer: Number,
    days: Annotated[
        int | None, typer.Option(min=0, max=36_500, help="Days; without it, as long as CARAVAN_RETENTION_DAYS says.")
    ] = None,
    data: Data = None,
) -> None:
    """Set for how long the contacts of a customer's ended batches are kept, and print it.

    Example: caravan customers retain 1001 --days 90
    """
    from caravan.engine.retention import set_days

    settings = read_settings(data=data)

    async def work(connection: "Connection") -> None:
        async with connection.transaction():
            await set_days(connection, customer, days)
            await record(connection, customer, "set_retention", f"customer {customer}", {"days": days})

    with_connection(settings, work)
    kept = f"{days} days" if days is not None else f"{settings.retention_days} days, by CARAVAN_RETENTION_DAYS"
    typer.echo(f"{customer}: contacts are kept for {kept}")


def create(
    customer: Annotated[int, typer.Option(help="The customer's number.")],
    name: Annotated[str, typer.Option(help="What the token is for.")] = "token",
    data: Data = None,
) -> None:
    """Create a token and print it, this one time.

    Example: caravan tokens create --customer 1001 --name nightly-job
    """
    from caravan.access.management import create_token
    from caravan.clock import Clock

    async def work(connection: "Connection") -> str:
        return await create_token(connection, operator(customer), customer, name, Clock())

    typer.echo(with_connection(read_settings(data=data), work))


def list_tokens(
    customer: Annotated[int | None, typer.Option(help="Only those of this customer.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List tokens: id, customer, name, when each was made and last used. Their secrets are stored nowhere.

    Example: caravan tokens list --customer 1001
    """
    from caravan.store import customers

    async def work(connection: "Connection") -> list[customers.Token]:
        return await customers.list_tokens(connection, customer)

    for each in with_connection(read_settings(data=data), work):
        made = each.created_at.isoformat(timespec="seconds")
        used = each.used_at.isoformat(timespec="seconds") if each.used_at else None
        if as_json:
            shown = {"id": each.id, "customer": each.customer, "name": each.name, "createdAt": made}
            typer.echo(json.dumps({**shown, "createdBy": each.created_by, "usedAt": used}, ensure_ascii=False))
        else:
            typer.echo(f"{each.id}  customer {each.customer}  {each.name}  {made}  last used: {used or 'never'}")


def revoke(
    token: Annotated[str, typer.Argument(help="The token's id, as `tokens list` shows it, or the token.")],
    data: Data = None,
) -> None:
    """Revoke a token. The API refuses it within five seconds.

    Example: caravan tokens revoke 5f0c2a91be77
    """
    from caravan.access.management import revoke_token

    async def work(connection: "Connection") -> str:
        found = await revoke_token(connection, operator(None), token, None)
        return f"{found.id}: revoked; it was {found.name!r} of customer {found.customer}"

    typer.echo(with_connection(read_settings(data=data), work))
