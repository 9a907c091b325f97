"""A further channel is one file and one entry in the registry. What would be the file stands here whole."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import pytest
from pydantic import Field

from caravan.channels.registry import CHANNELS, STEP_TYPES, step_types
from caravan.channels.sandbox import Sandbox
from caravan.delivery.channel_type import ChannelType
from caravan.delivery.envelope import Envelope
from caravan.delivery.message_step import MessageStep
from caravan.delivery.result import Result, SendResult
from caravan.delivery.signing import read_back
from caravan.errors import InvalidDefinition, InvalidSetting, RenderFailed
from caravan.journeys.definition import read_journey
from caravan.journeys.fields import LineTemplate
from caravan.journeys.placeholders import ContactView, compile_template
from caravan.settings import ChannelSettings, Settings
from caravan.store.cohorts import Cohort
from tests.integration.conftest import System, open_house, working
from tests.integration.journeys_for_tests import MAIL, contacts

# The file begins here: settings, rules, driver, step, entry.


class PagerSettings(ChannelSettings):
    """The gateway for pagers."""

    pager_gateway: str = Field(description="host:port of the gateway.")
    pager_timeout: float = Field(5, gt=0, description="Seconds to wait for the gateway's answer.")


RULES = {"OK": Result.SENT, "BUSY": Result.RETRY, "NO": Result.FAILED}


def meaning(reply: str) -> SendResult:
    """What the gateway's answer means; none at all means that the message may be on its way."""
    word, _, seconds = reply.strip().partition(" ")
    wait = float(seconds) if seconds.isdigit() else None
    return SendResult(RULES.get(word, Result.UNKNOWN), f"the gateway said {reply.strip()!r}", wait)


@dataclass(frozen=True, slots=True)
class Text:
    """A page."""

    number: str
    text: str
    key: str


class PagerChannel:
    """Hands pages to a gateway, one connection each."""

    def __init__(self, settings: PagerSettings) -> None:
        self._host, _, self._port = settings.pager_gateway.rpartition(":")
        self._timeout = settings.pager_timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def send(self, message: Text, on_data: Callable[[], None] | None = None) -> SendResult:
        """See `Channel.send`."""
        try:
            reader, writer = await asyncio.open_connection(self._host, int(self._port))
        except OSError as error:
            return SendResult(Result.UNREACHABLE, str(error))
        try:
            if on_data is not None:
                on_data()
            writer.write(f"{message.key} {message.number} {message.text}\n".encode())
            return meaning((await asyncio.wait_for(reader.readline(), self._timeout)).decode())
        except (OSError, TimeoutError) as error:
            return SendResult(Result.UNKNOWN, str(error))
        finally:
            writer.close()


class Pager(MessageStep):
    """`pager: {to, text}`, both templates."""

    kind = "pager"

    to: LineTemplate
    text: LineTemplate

    def write(self, contact: ContactView, key: str, cohort: Cohort, at: datetime) -> Envelope[Text]:
        number, text = (compile_template(each).render(contact) for each in (self.to, self.text))
        if not number.startswith("+"):
            raise RenderFailed(f"'{number}' is no number like +4712345678.")
        return Envelope(number, key, Text(number, text, key))


PAGER = ChannelType(step=Pager, settings=PagerSettings, driver=lambda own, settings: PagerChannel(own))

# The file ends here. The entry:

WITH_PAGER = (*CHANNELS, PAGER)


JOURNEY = """
journey: 1
name: A text
steps:
  - id: tell
    pager: {to: "{{ mobile }}", text: "Hello {{ name }}"}
    on_unknown: resend
    next: mail
  - id: mail
    email: {from: shop@example.com, to: "{{ id }}@example.com", subject: Hello, text: Hello}
"""


@dataclass
class Gateway:
    """What has come, and what is answered to the nth text of a number."""

    lines: list[list[str]] = field(default_factory=list)
    replies: dict[str, list[str]] = field(default_factory=dict)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key, number, text = (await reader.readline()).decode().strip().split(" ", 2)
        self.lines.append([key, number, text])
        waiting = self.replies.get(number, [])
        writer.write((waiting.pop(0) if waiting else "OK").encode() + b"\n")
        writer.close()


@pytest.fixture
async def gateway(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    gateway = Gateway()
    server = await asyncio.start_server(gateway.take, "127.0.0.1", 0)
    monkeypatch.setenv("CARAVAN_PAGER_GATEWAY", f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    yield gateway
    server.close()


@pytest.fixture
async def texting(settings: Settings, sandbox: Sandbox, gateway: Gateway) -> AsyncIterator[System]:
    """A system with the channel, and a worker."""
    reachable = settings.model_copy(update={"smtp_url": sandbox.url})
    async with open_house(reachable, sandbox, channels=WITH_PAGER) as system, working(system):
        yield system


def _people(count: int) -> bytes:
    row = b'{"id": "c%d", "properties": {"mobile": "%s%d", "name": "N%d"}}\n'
    return b"".join(row % (n, b"" if n == 7 else b"+47", n, n) for n in range(count))


async def test_it_sends_through_the_engine_and_its_rules_decide(texting: System, gateway: Gateway) -> None:
    system = texting
    gateway.replies = {"+471": ["BUSY 0", "OK"], "+472": ["NO"], "+473": ["??", "OK"]}
    await system.publish(JOURNEY)
    batch = await system.start(_people(30))
    tell, mail = (await system.ended(batch))["ledger"]["steps"]
    assert tell["outcomes"] == {"sent": 28, "failed": 2}
    assert mail["outcomes"] == {"sent": 30}
    tries = Counter(number for _, number, _ in gateway.lines)
    assert tries == Counter({f"+47{n}": 2 if n in (1, 3) else 1 for n in range(30) if n != 7})
    keys = {number: {key for key, each, _ in gateway.lines if each == number} for number in tries}
    assert {len(each) for each in keys.values()} == {1}, "the same at each attempt"
    async with system.engine.pool.connection() as connection:
        led = {number: await read_back(connection, *each) for number, each in keys.items()}
    for number, key in led.items():
        assert key is not None
        assert (key.batch, key.step, key.visit, f"+47{key.line - 1}") == (batch, 0, 0, number)
    failed = await system.lines(f"batches/{batch}/journal?step=tell&outcome=failed")
    details = {each["contact"]: each["detail"] for each in failed}
    assert details == {"c2": "the gateway said 'NO'", "c7": "'7' is no number like +4712345678."}


async def test_a_gateway_that_is_away_is_an_outage(texting: System, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> Any:
        raise ConnectionRefusedError("nobody listens")

    monkeypatch.setattr(asyncio, "open_connection", refuse)
    await texting.publish(JOURNEY)
    batch = await texting.start(b'{"id": "a", "properties": {"mobile": "+1"}}\n')
    found = await texting.until(batch, lambda b: "nobody listens" in (b["waitingFor"] or ""))
    assert found["waiting"]["kind"] == "retry"


def test_its_step_is_checked_like_all_others() -> None:
    wrong = "journey: 1\nname: x\nsteps:\n  - id: a\n    pager: {to: '{{ mobile', txt: Hello}\n"
    with pytest.raises(InvalidDefinition) as refused:
        read_journey(wrong, step_types(WITH_PAGER))
    told = str(refused.value)
    assert "line 5: a.pager.txt: unknown key 'txt'; did you mean 'text'? The keys here are to, text" in told
    assert "line 5: a.pager.to: the template can't be read" in told
    assert "pager" not in STEP_TYPES
    assert read_journey(JOURNEY, step_types(WITH_PAGER)).entry.id == "tell"


async def test_without_its_settings_nothing_starts(settings: Settings, sandbox: Sandbox) -> None:
    with pytest.raises(InvalidSetting, match="CARAVAN_PAGER_GATEWAY: Field required"):
        async with open_house(settings, sandbox, channels=WITH_PAGER):
            pass


async def test_the_others_go_on_without_it(system: System) -> None:
    await system.publish(MAIL)
    assert (await system.ended(await system.start(contacts(3))))["ledger"]["steps"][0]["outcomes"] == {"sent": 3}
    answer = await system.http.put(system.path("journeys/2"), content=JOURNEY.replace("journey: 1", "journey: 2"))
    assert answer.status_code == 422
    assert "pager" in answer.text
