"""`sandbox`: the mails and text messages that were kept instead of being sent."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from caravan.cli.session import Data, record, with_connection
from caravan.settings import read_settings

if TYPE_CHECKING:
    from caravan.queries.sandbox import KeptMail, KeptMessage
    from caravan.store.database import Connection

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    room = typer.Typer(
        help="Messages that were kept because no relay (CARAVAN_SMTP_URL) or SMS gateway (CARAVAN_SMS_URL) is set.",
        no_args_is_help=True,
    )
    room.command("list")(list_)
    room.command("show")(show)
    room.command("clear")(clear)
    app.add_typer(room, name="sandbox")


def list_(
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    to: Annotated[str | None, typer.Option(help="Only those to this address or number.")] = None,
    batch: Annotated[str | None, typer.Option(help="Only those of this batch.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List the newest messages in the sandbox: number, time, recipient and subject, of a text message how it begins.

    Example: caravan sandbox list --to bruce@example.com
    """
    from caravan.queries.sandbox import Page, list_messages

    async def work(connection: "Connection") -> "list[KeptMessage]":
        return await list_messages(connection, Page(limit, recipient=to, batch=batch))

    for each in with_connection(read_settings(data=data), work):
        at = each.at.isoformat(timespec="seconds")
        if as_json:
            shown = {"id": each.id, "at": at, "from": each.sender, "to": each.recipient, "subject": each.subject}
            shown["channel"] = each.channel
            typer.echo(json.dumps({**shown, "bytes": each.bytes, "batch": each.batch}, ensure_ascii=False))
        else:
            typer.echo(f"{each.id}  {at}  {each.recipient}  {each.subject}")


def show(
    number: Annotated[int, typer.Argument(help="The message's number, as `sandbox list` shows it.")],
    raw: Annotated[bool, typer.Option(help="The octets that would have gone over the wire.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show one message of the sandbox: headers and text, or with --raw all of it as it would have been sent. A text
    message has its segments and its encoding in their place.

    Example: caravan sandbox show 17 --raw
    """
    from caravan.queries.sandbox import get_mail

    async def work(connection: "Connection") -> "KeptMail":
        return await get_mail(connection, number)

    mail = with_connection(read_settings(data=data), work)
    if raw:
        sys.stdout.buffer.write(mail.raw)
    elif as_json:
        shown = {"id": mail.id, "at": mail.at.isoformat(), "from": mail.sender, "to": mail.recipient}
        rest = {"headers": mail.headers, "text": mail.text, "html": mail.html}
        typer.echo(json.dumps(shown | rest, ensure_ascii=False))
    else:
        typer.echo("".join(f"{name}: {value}\n" for name, value in mail.headers))
        typer.echo(mail.text if mail.text is not None else mail.html or "")


def clear(data: Data = None) -> None:
    """Forget all mails in the sandbox.

    Example: caravan sandbox clear
    """
    from caravan.queries import sandbox

    async def work(connection: "Connection") -> int:
        async with connection.transaction():
            mails = await sandbox.clear(connection)
            await record(connection, None, "clear", "sandbox", {"messages": mails})
        return mails

    typer.echo(f"{with_connection(read_settings(data=data), work)} mails forgotten")
