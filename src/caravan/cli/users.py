"""`users`: the people who sign in to the console."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from caravan.cli.customers import Json
from caravan.cli.session import Data, operator, with_connection
from caravan.settings import read_settings

if TYPE_CHECKING:
    from caravan.store.database import Connection

Email = Annotated[str, typer.Argument(help="The user's e-mail address.")]
Number = Annotated[int, typer.Option("--customer", help="The customer's number.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    users = typer.Typer(
        help="Users of the console, each with a role for one customer or several.", no_args_is_help=True
    )
    users.command("add")(add)
    users.command("list")(list_)
    users.command("remove")(remove)
    users.command("reset-password")(reset_password)
    app.add_typer(users, name="users")


def add(
    email: Email,
    customer: Number,
    role: Annotated[str, typer.Option(help="owner, editor or viewer.")],
    data: Data = None,
) -> None:
    """Give a user a role for a customer. Of a user that is new the first password is printed, once; it has to be
    changed when it is used.

    Example: caravan users add anna@example.com --customer 1001 --role editor
    """
    from caravan.access import management
    from caravan.access.users import Role
    from caravan.errors import WrongUsage

    if role not in list(Role):
        raise WrongUsage(f"{role!r} is no role; those are {', '.join(Role)}.")

    async def work(connection: "Connection") -> str | None:
        return await management.give_role(connection, operator(customer), email, customer, Role(role))

    password = with_connection(read_settings(data=data), work)
    if password is None:
        typer.echo(f"{email} is {role} of customer {customer}; its password stays.", err=True)
    else:
        typer.echo(password)


def list_(
    customer: Annotated[int | None, typer.Option(help="Only those of this customer.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List the users: address, customer, role, when last seen.

    Example: caravan users list --customer 1001
    """
    from caravan.access.users import User, users_of

    async def work(connection: "Connection") -> list[User]:
        return await users_of(connection, customer)

    for each in with_connection(read_settings(data=data), work):
        seen = each.seen_at.isoformat(timespec="seconds") if each.seen_at else None
        if as_json:
            shown = {"email": each.email, "customer": each.customer, "role": each.role, "operator": each.is_operator}
            typer.echo(json.dumps({**shown, "createdAt": each.created_at.isoformat(), "seenAt": seen}))
        else:
            role = "operator" if each.is_operator else each.role
            typer.echo(f"{each.email}  {each.customer or '-'}  {role}  last seen: {seen or 'not signed in'}")


def remove(email: Email, customer: Number, data: Data = None) -> None:
    """Take a user's role for a customer. A user without another one is deleted, and its sessions end.

    Example: caravan users remove anna@example.com --customer 1001
    """
    from caravan.access import management

    async def work(connection: "Connection") -> None:
        await management.take_role(connection, operator(customer), email, customer)

    with_connection(read_settings(data=data), work)
    typer.echo(f"{email}: removed from customer {customer}")


def reset_password(email: Email, data: Data = None) -> None:
    """Print a new first password of a user that has lost its own; all its sessions end.

    Example: caravan users reset-password anna@example.com
    """
    from caravan.access import management

    async def work(connection: "Connection") -> str:
        return await management.reset_password(connection, operator(None), email)

    typer.echo(with_connection(read_settings(data=data), work))
