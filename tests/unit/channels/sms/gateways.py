"""SMS gateways on loopback: what they got, and what they answer to whom."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

from aiohttp import web
from aiohttp.test_utils import TestServer

from caravan.channels.sms.described import Described
from caravan.channels.sms.gateway_file import GatewayFile
from caravan.channels.sms.segments import size_of
from caravan.channels.sms.text import Text
from caravan.channels.sms.twilio import Twilio

ACCOUNT = "AC0123456789abcdef0123456789abcdef"
TOKEN = "5f0e9a8b7c6d5e4f3a2b1c0d9e8f7a6b"
REPORTS = "https://caravan.example.com/returns/sms/reports/"

FILE = """
name: example
url: "{url}/v1/messages"
headers:
  Authorization: "Bearer {{{{ secrets.key }}}}"
  Content-Type: application/json
  Idempotency-Key: "{{{{ key }}}}"
body: |
  {{"to": {{{{ to | json }}}}, "from": {{{{ from | json }}}}, "text": {{{{ text | json }}}},
   "ref": {{{{ key | json }}}}, "parts": {{{{ segments }}}}, "report": {{{{ report_url | json }}}}}}
secrets: {{key: "env:EXAMPLE_SMS_KEY"}}
from: Shop
sent: {{status: [200, 202], where: {{"$.messages[0].status": [accepted]}}, id: "$.messages[0].id"}}
error: {{code: $.error.code, text: $.error.text}}
rules:
  - {{codes: [no_such_number], result: suppress}}
  - {{codes: [slow], result: slow_down}}
"""


@dataclass
class Got:
    """A request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeGateway:
    """Answers by the first word of a text: accepts-1, refuses-1 … `answer` says something else to some."""

    arrived: list[str] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)
    answer: Callable[[str], web.Response | None] = lambda text: None

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.got.append(Got(request.path_qs, dict(request.headers), body))
        is_form = request.content_type == "application/x-www-form-urlencoded"
        text = str((await request.post())["Body"]) if is_form else json.loads(body)["text"]
        if (scripted := self.answer(text)) is not None:
            return scripted
        match text.partition("-")[0]:
            case "refuses":
                return web.json_response({"code": 21211, "message": "no such number"}, status=400)
            case "waits":
                return web.Response(status=429, headers={"Retry-After": "300"})
            case "busy":
                return web.Response(status=503)
            case "dies":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "sleeps":
                await asyncio.sleep(5)
        self.arrived.append(text)
        if is_form:
            return web.json_response({"sid": f"SM{len(self.arrived):032x}", "status": "queued"}, status=201)
        return web.json_response({"messages": [{"id": f"m-{len(self.arrived)}", "status": "accepted"}]}, status=202)


@asynccontextmanager
async def serving(gateway: FakeGateway) -> AsyncIterator[str]:
    """The gateway at an address of its own."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", gateway.take)
    async with TestServer(app, host="127.0.0.1", shutdown_timeout=0.01) as server:
        yield f"http://127.0.0.1:{server.port}"


def twilio(url: str) -> Twilio:
    """An account whose API is at `url`."""
    return Twilio.of(f"twilio://{ACCOUNT}:{TOKEN}@api.twilio.com?from=+46700000001&api={url}", REPORTS)


def described(url: str, source: str = FILE) -> Described:
    """The gateway of FILE at `url`."""
    with patch.dict(os.environ, {"EXAMPLE_SMS_KEY": "k-0123456789"}):
        return Described.of(GatewayFile.parse(source.format(url=url)), REPORTS)


def message(text: str, number: str = "+46701234567", key: str = "k1") -> Text:
    """A message to somebody."""
    return Text(number, text, key, size_of(text))
