"""What `channels check` and `channels test` do for text messages."""

import json

import typer

from caravan.errors import InvalidDefinition, InvalidSetting, Unavailable
from caravan.settings import Settings


def check_gateway_file(path: str, *, as_json: bool) -> None:
    """Tell the problems of a gateway's file, each with its line, and secrets that are not there. Exit 1 if there are
    any."""
    from pathlib import Path

    from caravan.channels.sms.described import Described
    from caravan.channels.sms.gateway_file import GatewayFile

    try:
        source = Path(path.removeprefix("//")).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidSetting(f"The file {path} can't be read.") from None
    problems: list[dict[str, str | int]] = []
    try:
        Described.of(GatewayFile.parse(source))
    except InvalidDefinition as error:
        problems = [each.to_json() for each in error.problems]
        told = [str(each) for each in error.problems]
    except InvalidSetting as error:
        problems, told = [{"line": 0, "where": "secrets", "message": error.message}], [error.message]
    else:
        told = ["The file is well."]
    if as_json:
        typer.echo(json.dumps({"file": path, "problems": problems}, ensure_ascii=False))
    else:
        typer.echo("\n".join(told))
    raise typer.Exit(1 if problems else 0)


def test_sms(settings: Settings, to: str, sender: str | None, *, as_json: bool) -> None:
    """Give one text message to the gateway, and show what goes over the wire. Raises `Unavailable` if it is not
    taken."""
    import asyncio
    import secrets

    from caravan.channels.sms.numbers import check_sender, to_e164
    from caravan.channels.sms.open import gateway_of, sms_channel
    from caravan.channels.sms.segments import size_of
    from caravan.channels.sms.text import Text
    from caravan.delivery.result import SendResult
    from caravan.errors import RenderFailed

    gateway = gateway_of(settings)
    if gateway is None:
        raise InvalidSetting(
            "No SMS gateway is set: text messages go into the sandbox. Set CARAVAN_SMS_URL, then test it."
        )
    try:
        number, own = to_e164(to), None if sender is None else check_sender(sender)
    except RenderFailed as error:
        raise typer.BadParameter(error.message) from None
    words = "This is a test by Caravan. You need not answer it."
    text = Text(number, words, f"test{secrets.token_hex(10)}", size_of(words), own)
    lines: list[dict[str, str]] = []

    def tell(who: str, line: str) -> None:
        lines.append({"who": who, "line": line})
        if not as_json:
            typer.echo(f"{who}: {line}")

    async def send() -> SendResult:
        async with sms_channel(gateway, settings, tell) as channel:
            return await channel.send(text)

    tell("*", f"Calling {gateway.place}.")
    result = asyncio.run(send())
    if as_json:
        told = {"result": result.result, "detail": result.detail, "conversation": lines}
        typer.echo(json.dumps(told, ensure_ascii=False))
    elif result.result == "sent":
        typer.echo(f"The gateway took the message: {result.detail}")
    if result.result != "sent":
        raise Unavailable(f"the message was not taken ({result.result.replace('_', ' ')}): {result.detail}")
