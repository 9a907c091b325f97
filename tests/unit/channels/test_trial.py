"""A test of the relay shows the whole conversation, and no password."""

import json
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from caravan.channels.relay import Relay
from caravan.channels.replies import Stage
from caravan.channels.sandbox import Received, Sandbox
from caravan.channels.trial import send_told, trial_mail
from caravan.delivery.result import Result, SendResult
from tests.unit.channels.test_relay import CERTIFICATE, context, only_anna, somebody_elses_server

Lines = list[tuple[str, str]]

pytestmark = pytest.mark.filterwarnings(
    "ignore:Requiring AUTH while not requiring TLS:UserWarning", "ignore::UserWarning:aiosmtpd"
)


async def sent(url: str) -> tuple[SendResult, Lines]:
    lines: Lines = []
    mail = trial_mail("you@example.com", "me@example.com", datetime(2026, 1, 2, tzinfo=UTC))
    result = await send_told(Relay.of(url), mail, lambda who, line: lines.append((who, line)), 5)
    return result, lines


async def test_each_line_of_both_sides_is_told_in_order() -> None:
    async with Sandbox(extensions=("PIPELINING",)) as relay:
        result, lines = await sent(relay.url)
    assert result.result is Result.SENT
    assert lines[0][0] == "S" and lines[0][1].startswith("220 ")
    assert lines[1][1].startswith("EHLO ")
    assert any(
        line.startswith("250-SIZE") or line.startswith("250 SIZE") or line == "250 PIPELINING" for _, line in lines
    )
    assert ("*", "The connection is not encrypted.") in lines
    told = [line for who, line in lines if who == "C"]
    commands = ["RCPT TO:<you@example.com>", "DATA", "Subject: A test of the mail relay", ".", "QUIT"]
    assert [line for line in told if line in commands] == commands
    assert lines[-2][0] == "S" and lines[-2][1] == result.detail
    assert relay.mails[0].recipients == ["you@example.com"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_what_authenticates_is_masked_and_encryption_is_told(
    monkeypatch: pytest.MonkeyPatch, mechanism: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    others = {"PLAIN", "LOGIN"} - {mechanism}
    options = {"authenticator": only_anna, "auth_required": True, "auth_exclude_mechanism": others}
    async with somebody_elses_server(tls_context=context(), **options) as (keeper, place):
        port = place.partition(":")[2]
        result, lines = await sent(f"smtp://anna:open%20sesame@localhost:{port}?tls=required")
    assert result.result is Result.SENT
    assert len(keeper.mails) == 1
    shown = "\n".join(line for _, line in lines)
    assert ("C", "STARTTLS") in lines
    assert any(line.startswith(f"AUTH {mechanism} ***") for who, line in lines if who == "C")
    for secret in (b"open sesame", b"\0anna\0open sesame", b"anna"):
        assert b64encode(secret).decode() not in shown
    assert "sesame" not in shown
    (encrypted,) = [line for who, line in lines if who == "*"]
    assert encrypted.startswith("The connection is encrypted (TLSv1.") and "certificate is valid" in encrypted


async def test_a_refusal_is_told_and_its_control_characters_do_nothing() -> None:
    def script(stage: Stage, mail: Received) -> str | None:
        return "550 5.7.1 \x1b[31mnot you\u202e" if stage is Stage.RCPT else None

    async with Sandbox(script=script) as relay:
        result, lines = await sent(relay.url)
    assert result.result is Result.FAILED
    assert ("S", "550 5.7.1 �[31mnot you�") in lines
    assert relay.mails == []


async def test_no_relay_at_the_address_is_told() -> None:
    async with Sandbox() as relay:
        gone = relay.url
    result, lines = await sent(gone)
    assert (result.result, lines) == (Result.UNREACHABLE, [])
    assert result.detail.startswith("Connection refused by 127.0.0.1")


async def test_the_command_tells_it_and_ends_by_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from caravan.cli.commands import app
    from caravan.errors import CaravanError

    def run(*words: str) -> tuple[int, str, str]:
        made = CliRunner().invoke(app, ["channels", "test", *words])
        error = made.exception.message if isinstance(made.exception, CaravanError) else made.stderr
        return made.exit_code, made.stdout, error

    words = ("email", "--to", "you@example.com")
    monkeypatch.delenv("CARAVAN_SMTP_URL", raising=False)
    code, _, error = await asyncio.to_thread(run, *words)
    assert code == 1 and "No relay is set" in error
    async with Sandbox() as relay:
        monkeypatch.setenv("CARAVAN_SMTP_URL", relay.url)
        code, out, _ = await asyncio.to_thread(run, *words)
        assert (code, len(relay.mails)) == (0, 1)
        assert "C: MAIL FROM:<you@example.com>" in out and "The relay took the mail: 250" in out
        code, out, _ = await asyncio.to_thread(run, *words, "--from", "shop@example.com", "--json")
        told = json.loads(out)
        assert (code, told["result"], relay.mails[1].sender) == (0, "sent", "shop@example.com")
        assert {"who": "C", "line": "QUIT"} in told["conversation"]
        code, _, error = await asyncio.to_thread(run, "email", "--to", "nobody")
        assert code == 1 and "address" in error
    code, _, error = await asyncio.to_thread(run, *words)
    assert code == 1 and "the mail was not taken (unreachable): Connection refused by 127.0.0.1" in error
    code, _, error = await asyncio.to_thread(run, "webhook", "--to", "you@example.com")
    assert code == 2 and "can't be tested" in error
