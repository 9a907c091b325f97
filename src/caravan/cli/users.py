"""`users`: the people who sign in to the console."""

import getpass
import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from caravan.cli.customers import Json
from caravan.cli.session import Data, with_connection
from caravan.settings import read_settings

if TYPE_CHECKING:
    from caravan.access.audit import Actor
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
    from caravan.access import audit, users
    from caravan.errors import WrongUsage

    if role not in list(users.Role):
        raise WrongUsage(f"{role!r} is no role; those are {', '.join(users.Role)}.")

    async def work(connection: "Connection") -> str | None:
        async with connection.transaction():
            password = await users.add_user(connection, email, customer, users.Role(role))
            await audit.record(connection, _actor(customer), "add_user", email, {"role": role})
        return password

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
    from caravan.access import audit, users

    async def work(connection: "Connection") -> None:
        async with connection.transaction():
            await users.remove_user(connection, email, customer)
            await audit.record(connection, _actor(customer), "remove_user", email)

    with_connection(read_settings(data=data), work)
    typer.echo(f"{email}: removed from customer {customer}")


def reset_password(email: Email, data: Data = None) -> None:
    """Print a new first password of a user that has lost its own; all its sessions end.

    Example: caravan users reset-password anna@example.com
    """
    from caravan.access import audit, users

    async def work(connection: "Connection") -> str:
        async with connection.transaction():
            password = await users.reset_password(connection, email)
            await audit.record(connection, _actor(None), "reset_password", email)
        return password

    typer.echo(with_connection(read_settings(data=data), work))


def _actor(customer: int | None) -> "Actor":
    from caravan.access.audit import Actor, ActorKind

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = f"uid {os.getuid()}"
    return Actor(ActorKind.COMMAND, name, customer)
