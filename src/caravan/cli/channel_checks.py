"""`channels check|test|providers`: whether what mail stands on is well, without sending to anybody else."""

import json
from typing import Annotated

import typer

from caravan.cli.session import Data
from caravan.cli.sms import check_gateway_file, test_sms
from caravan.errors import InvalidSetting, Unavailable
from caravan.settings import read_settings


def check(
    domain: Annotated[
        str, typer.Argument(help="The domain of the addresses in From; or file:PATH, the file of an SMS gateway.")
    ],
    selector: Annotated[list[str] | None, typer.Option(help="A DKIM selector; may be given more than once.")] = None,
    address: Annotated[
        list[str] | None, typer.Option(help="An IP address that the relay sends from; may be given more than once.")
    ] = None,
    nameserver: Annotated[
        str | None, typer.Option(help="Ask this one, ADDRESS:PORT.", show_default="as this machine does")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look at SPF, DKIM, DMARC and MX of a domain, and PTR of the relay's addresses: what is well, and what to mend.
    Of the file of an SMS gateway, its problems with their lines. Needs no server. Exit 1 if something has to be mended.

    Example: caravan channels check example.com --selector s1 --selector s2 --address 192.0.2.1
    """
    if domain.startswith("file:"):
        return check_gateway_file(domain.removeprefix("file:"), as_json=as_json)
    import asyncio

    from caravan.channels.domain.check import address_of, check_domain, domain_of
    from caravan.channels.domain.finding import Verdict
    from caravan.channels.domain.lookups import Lookups, nameserver_of

    name, addresses = domain_of(domain), list(map(address_of, address or []))
    lookups = Lookups(None if nameserver is None else nameserver_of(nameserver))
    found = asyncio.run(check_domain(lookups, name, selector or [], addresses))
    mend = sum(each.verdict is Verdict.MEND for each in found)
    if as_json:
        findings = [{"about": each.about, "verdict": each.verdict, "sentence": each.sentence} for each in found]
        typer.echo(json.dumps({"domain": name, "mend": mend, "findings": findings}, ensure_ascii=False))
    else:
        for each in found:
            typer.echo(f"{each.about:<6} {each.verdict:<7} {each.sentence}")
    raise typer.Exit(1 if mend else 0)


def test(
    channel: Annotated[str, typer.Argument(help="The channel: email or sms.")],
    to: Annotated[str, typer.Option(help="Who gets the test: an address, or a number like +46701234567.")],
    sender: Annotated[
        str | None, typer.Option("--from", help="Its sender.", show_default="the same address, or the gateway's own")
    ] = None,
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Send one mail to the relay of CARAVAN_SMTP_URL, or a text message to the gateway of CARAVAN_SMS_URL, and show the
    conversation, without passwords. Exit 1 if it is not taken.

    Example: caravan channels test email --to you@example.com
    """
    if channel == "sms":
        return test_sms(read_settings(data=data), to, sender, as_json=as_json)
    import asyncio
    import os
    from datetime import UTC, datetime

    from caravan.channels.relay import Relay
    from caravan.channels.trial import send_told, trial_mail
    from caravan.masking import Masker, secrets_in

    if channel != "email":
        raise typer.BadParameter(f"{channel!r} can't be tested by command; email and sms can.")
    settings = read_settings(data=data)
    if settings.smtp_url is None:
        raise InvalidSetting("No relay is set: mails go into the sandbox. Set CARAVAN_SMTP_URL, then test it.")
    relay = Relay.of(settings.smtp_url)
    masker = Masker(secrets_in(settings.model_dump(), os.environ))
    lines: list[dict[str, str]] = []

    def tell(who: str, line: str) -> None:
        lines.append({"who": who, "line": masker.text(line)})
        if not as_json:
            typer.echo(f"{who}: {lines[-1]['line']}")

    tell("*", f"Connecting to {relay.host}:{relay.port}.")
    mail = trial_mail(to, sender or to, datetime.now(UTC))
    result = asyncio.run(send_told(relay, mail, tell, settings.smtp_timeout))
    detail = masker.text(result.detail)
    if as_json:
        told = {"result": result.result, "detail": detail, "messageId": mail.message_id, "conversation": lines}
        typer.echo(json.dumps(told, ensure_ascii=False))
    elif result.result == "sent":
        typer.echo(f"The relay took the mail: {detail}")
    if result.result != "sent":
        raise Unavailable(f"the mail was not taken ({result.result.replace('_', ' ')}): {detail}")


def providers(
    address: Annotated[
        list[str] | None, typer.Argument(help="Addresses or domains: to which provider does their mail go?")
    ] = None,
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """The mailbox providers with their limits, by Caravan's file and that of CARAVAN_PROVIDERS; of addresses, which one
    they have by the DNS. Exit 1, with each problem by its line, where a file of rules can't be used.

    Example: caravan channels providers anna@gmail.com firm.example
    """
    import asyncio

    from caravan.channels.domain.lookups import nameserver_of
    from caravan.channels.mx import Directory
    from caravan.channels.providers import read_providers
    from caravan.channels.replies import read_rules

    settings = read_settings(data=data)
    known = read_providers(settings.providers)
    read_rules(settings.replies)  # for its problems

    async def ask(addresses: list[str]) -> list[str]:
        nameserver = None if settings.nameserver is None else nameserver_of(settings.nameserver)
        return await Directory(known, nameserver).of([each if "@" in each else f"@{each}" for each in addresses])

    for text, name in zip(address or [], asyncio.run(ask(address or [])), strict=True):
        typer.echo(json.dumps({"address": text, "provider": name}) if as_json else f"{text}  {name}")
    for each in [] if address else known:
        limits = {"rate": each.rate, "connections": each.connections, "mails": each.mails}
        if as_json:
            typer.echo(
                json.dumps({"provider": each.name, "mx": each.mx, "domains": each.domains, **limits, "tls": each.tls})
            )
            continue
        words = [f"{name}: {value:,g}" for name, value in limits.items() if value is not None]
        words += ["tls: required"] if each.tls else []
        typer.echo(f"{each.name:<12} {', '.join(words) or 'no limits'}  ({', '.join(each.mx or each.domains)})")
