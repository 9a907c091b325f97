"""`customers` and `tokens`."""

from typing import Annotated

import typer

from caravan.cli.session import with_connection
from caravan.settings import read_settings


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    customers = typer.Typer(help="Customers: the tenants of this installation.", no_args_is_help=True)
    customers.command("add")(add)
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
    from caravan.store.database import Connection

    async def work(connection: Connection) -> int:
        return await add_customer(connection, name, Clock().now())

    typer.echo(with_connection(read_settings(), work))


def create(
    customer: Annotated[int, typer.Option(help="The customer's number.")],
    name: Annotated[str, typer.Option(help="What the token is for.")] = "token",
) -> None:
    """Create a token and print it, this one time.

    Example: caravan tokens create --customer 1001 --name nightly-job
    """
    from caravan.clock import Clock
    from caravan.errors import NotFound
    from caravan.store.customers import create_token, has_customer
    from caravan.store.database import Connection

    async def work(connection: Connection) -> str:
        if not await has_customer(connection, customer):
            raise NotFound(f"There is no customer {customer}; `caravan customers add NAME` makes one.")
        return await create_token(connection, customer, name, Clock().now())

    typer.echo(with_connection(read_settings(), work))
