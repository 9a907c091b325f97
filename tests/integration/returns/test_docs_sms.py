"""The gateway that docs/sms.md describes works as it says."""

import json
import re
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from caravan.channels.sms.described import Described
from caravan.channels.sms.gateway import SmsChannel
from caravan.channels.sms.gateway_file import GatewayFile
from caravan.channels.sms.returned import Fate, Posted, Reply
from caravan.channels.sms.segments import size_of
from caravan.channels.sms.text import Text
from caravan.clock import Clock
from caravan.delivery.result import Result
from caravan.store.suppressions import Reason

PAGE = Path(__file__).parents[3] / "docs/sms.md"
REPORTS = "https://caravan.example.com/returns/sms/reports/"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The file of the page, with its secrets where they can be found."""
    monkeypatch.setenv("FJORD_ACCOUNT", "acc-7")
    monkeypatch.setenv("FJORD_KEY", "key-0123456789")
    (tmp_path / "hook").write_text("hook-secret\n")
    (found,) = re.findall(r"```yaml\n(name: fjord\n.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return str(found).replace("/run/secrets/fjord-webhook", str(tmp_path / "hook"))


async def test_it_sends_and_reads_answers(source: str) -> None:
    got: list[tuple[str, dict[str, str], dict]] = []  # type: ignore[type-arg]
    errors = {"gone": "UNKNOWN_SUBSCRIBER", "land": "LANDLINE", "broke": "NO_CREDIT", "other": "SPAM"}

    async def take(request: web.Request) -> web.Response:
        said = await request.json()
        got.append((request.path, dict(request.headers), said["messages"][0]))
        text = said["messages"][0]["text"]
        if text in errors:
            error = {"code": errors[text], "text": "no"}
            return web.json_response({"messages": [{"status": "rejected", "error": error}]})
        return web.json_response({"messages": [{"status": "accepted", "id": "m-1"}]})

    app = web.Application()
    app.router.add_post("/{tail:.*}", take)
    async with TestServer(app, host="127.0.0.1") as server:
        url = f"http://127.0.0.1:{server.port}"
        gateway = Described.of(GatewayFile.parse(source.replace("https://api.fjord-messaging.example", url)), REPORTS)
        async with SmsChannel(gateway) as channel:
            texts = ['Hi "Åsa"\n– yes', *errors]
            sent = [
                await channel.send(Text("+46701234567", text, f"key{n}", size_of(text))) for n, text in enumerate(texts)
            ]
    path, headers, message = got[0]
    assert path == "/v2/accounts/acc-7/messages"
    assert (headers["Authorization"], headers["Idempotency-Key"]) == ("Bearer key-0123456789", "key0")
    assert message == {
        "destination": "46701234567",
        "source": "Shop",
        "text": 'Hi "Åsa"\n– yes',
        "encoding": "unicode",
        "reference": "key0",
        "statusUrl": f"{REPORTS}key0",
    }
    assert (sent[0].result, sent[0].detail) == (Result.SENT, "m-1 (1 segment, UCS-2)")
    assert [(each.result, each.suppress) for each in sent[1:]] == [
        (Result.FAILED, Reason.HARD_BOUNCE),
        (Result.UNSUPPORTED, Reason.HARD_BOUNCE),
        (Result.UNREACHABLE, None),
        (Result.FAILED, None),
    ]
    assert sent[1].detail == "200 UNKNOWN_SUBSCRIBER no"


def test_it_reads_what_comes_back(source: str) -> None:
    gateway = Described.of(GatewayFile.parse(source), REPORTS)
    said = {"reports": [
        {"reference": "k1", "status": "DELIVERED", "id": "m-1"},
        {"reference": "k2", "status": "BUFFERED"},
        {"reference": "k3", "status": "FAILED", "error": "UNKNOWN_SUBSCRIBER"},
        {"reference": "k4", "status": "EXPIRED", "error": 17},
    ]}  # fmt: skip
    posted = _posted(said)
    assert gateway.verified(posted, Clock().now())
    assert not gateway.verified(_posted(said, "x"), Clock().now())
    assert [(each.key, each.fate) for each in gateway.reports(posted)] == [
        ("k1", Fate.DELIVERED),
        ("k3", Fate.DEAD),
        ("k4", Fate.UNDELIVERED),
    ]
    reply = _posted({"source": "46701234567", "destination": "Shop", "text": "STOP", "id": "r1"})
    assert gateway.replies(reply) == [Reply("46701234567", "Shop", "STOP", "r1")]


def _posted(said: object, secret: str = "hook-secret") -> Posted:
    headers = {"content-type": "application/json", "x-fjord-token": secret}
    return Posted("https://caravan.example.com/returns/sms/reports", headers, {}, json.dumps(said).encode())
