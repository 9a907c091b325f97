"""`customers` and `tokens`."""

from typing import TYPE_CHECKING, Annotated

import typer

from caravan.cli.session import with_connection
from caravan.settings import read_settings

if TYPE_CHECKING:
    from caravan.store.database import Connection


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    customers = typer.Typer(help="Customers: the tenants of this installation.", no_args_is_help=True)
    customers.command("add")(add)
    customers.command("retain")(retain)
    app.add_typer(customers, name="customers")
    tokens = typer.Typer(help="Tokens of a customer.", no_args_is_help=True)
    tokens.command("create")(create)
    app.add_typer(tokens, name="tokens")


def add(name: Annotated[str, typer.Argument(help="The customer's name.")]) -> None:
    """Add a customer and print its number.

    Example: caravan customers add "Example Shop"
    """
    from caravan.clock import Clock
    from caravan.store.customers import add_customer

    async def work(connection: "Connection") -> int:
        return await add_customer(connection, name, Clock().now())

    typer.echo(with_connection(read_settings(), work))


def retain(
    customer: Annotated[int, typer.Argument(help="The customer's number.")],
    days: Annotated[
        int | None, typer.Option(min=0, max=36_500, help="Days; without it, as long as CARAVAN_RETENTION_DAYS says.")
    ] = None,
) -> None:
    """Set for how long the contacts of a customer's ended batches are kept, and print it.

    Example: caravan customers retain 1001 --days 90
    """
    from caravan.store.customers import set_retention

    settings = read_settings()

    async def work(connection: "Connection") -> None:
        await _check_customer(connection, customer)
        await set_retention(connection, customer, days)

    with_connection(settings, work)
    kept = f"{days} days" if days is not None else f"{settings.retention_days} days, by CARAVAN_RETENTION_DAYS"
    typer.echo(f"{customer}: contacts are kept for {kept}")


def create(
    customer: Annotated[int, typer.Option(help="The customer's number.")],
    name: Annotated[str, typer.Option(help="What the token is for.")] = "token",
) -> None:
    """Create a token and print it, this one time.

    Example: caravan tokens create --customer 1001 --name nightly-job
    """
    from caravan.clock import Clock
    from caravan.store.customers import create_token

    async def work(connection: "Connection") -> str:
        await _check_customer(connection, customer)
        return await create_token(connection, customer, name, Clock().now())

    typer.echo(with_connection(read_settings(), work))


async def _check_customer(connection: "Connection", customer: int) -> None:
    from caravan.errors import NotFound
    from caravan.store.customers import has_customer

    if not await has_customer(connection, customer):
        raise NotFound(f"There is no customer {customer}; `caravan customers add NAME` makes one.")
