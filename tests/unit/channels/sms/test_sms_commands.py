"""`channels test sms` and `channels check file:…`."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from typer.testing import CliRunner, Result

from caravan.cli.commands import app
from tests.unit.channels.sms.gateways import ACCOUNT, TOKEN, FakeGateway, serving


async def run(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, ["channels", *words])


@pytest.fixture(autouse=True)
def no_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARAVAN_SMS_URL", raising=False)


async def test_the_conversation_is_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = FakeGateway()
    async with serving(gateway) as url:
        monkeypatch.setenv("CARAVAN_SMS_URL", f"twilio://{ACCOUNT}:{TOKEN}@api.twilio.com?from=Shop&api={url}")
        well = await run("test", "sms", "--to", "+46 70 123 45 67")
        gateway.answer = lambda text: web.Response(status=401, text=f"\x1b[31mno \u202e{TOKEN}")
        refused = await run("test", "sms", "--to", "+46701234567", "--json")
        wrong = await run("test", "sms", "--to", "12")
    assert well.exit_code == 0, well.output
    assert f"C: POST {url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json" in well.output
    assert "C: To=%2B46701234567&Body=This%20is%20a%20test" in well.output
    assert "S: 201" in well.output
    assert "The gateway took the message: SM" in well.output
    assert "(1 segment, GSM-7)" in well.output
    assert refused.exit_code == 1
    told = json.loads(refused.stdout.splitlines()[0])
    assert (told["result"], told["conversation"][-1]) == ("unreachable", {"who": "S", "line": "[31mno ***"})
    for each in (well, refused):
        assert TOKEN not in each.output
    assert wrong.exit_code == 2
    assert "no phone number" in wrong.output


async def test_without_a_gateway_there_is_nothing_to_test() -> None:
    found = await run("test", "sms", "--to", "+46701234567")
    assert found.exit_code == 1
    assert "Set CARAVAN_SMS_URL" in str(found.exception or found.output)


async def test_a_file_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sms.yaml"
    path.write_text('name: x\nurl: nowhere\nsecrets: {key: "env:NO_SUCH"}\n')
    wrong = await run("check", f"file:{path}")
    assert (wrong.exit_code, wrong.stdout) == (1, "line 2: url: a gateway's url begins with https:// or http://\n")
    path.write_text('name: x\nurl: https://example.com\nsecrets: {key: "env:NO_SUCH"}\n')
    missing = await run("check", f"file:{path}", "--json")
    assert "NO_SUCH is not set" in json.loads(missing.stdout)["problems"][0]["message"]
    monkeypatch.setenv("NO_SUCH", "x")
    well = await run("check", f"file:{path}")
    assert (well.exit_code, well.stdout) == (0, "The file is well.\n")
