"""Every channel keeps the same promises to what stands above it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from psycopg import OperationalError

from caravan.channels.email import EmailChannel
from caravan.channels.mail import Mail
from caravan.channels.mail_sandbox import MailSandbox
from caravan.channels.replies import Stage
from caravan.channels.sandbox import Act, Received, Sandbox
from caravan.channels.sms.gateway import SmsChannel
from caravan.channels.sms.sandbox import SmsSandbox
from caravan.channels.webhook import Call, WebhookChannel
from caravan.delivery.result import Result, SendResult
from caravan.store.sandbox import Kept
from tests.unit.channels.sms.gateways import FakeGateway, described, message, serving, twilio

TIMEOUT = 0.3


@dataclass
class Room:
    """A channel, how to write to someone who behaves in a known way, and who has got something."""

    channel: Any
    to: Callable[[str], Any]  # "accepts-1" → a message; what stands before the dash is how the other side behaves
    arrived: Callable[[], list[str]]
    abandoned: Callable[[], Any]  # the same kind of channel, to where nobody listens


def mail(who: str) -> Mail:
    return Mail("shop@example.com", f"{who}@example.com", f"<{who}@example.com>", b"Subject: x\r\n\r\nHi\r\n")


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@asynccontextmanager
async def email_room() -> AsyncIterator[Room]:
    def script(stage: Stage, received: Received) -> str | Act | None:
        how = received.recipients[-1].partition("-")[0] if received.recipients else ""
        match stage, how:
            case Stage.RCPT, "refuses":
                return "550 5.1.1 no such user"
            case Stage.CONTENT, "waits":
                return "451 4.7.1 Greylisted, try again in 5 minutes"
            case Stage.RCPT, "busy":
                return "450 4.2.0 later"
            case Stage.CONTENT, "dies":
                return Act.HANG_UP
            case Stage.CONTENT, "sleeps":
                return Act.SAY_NOTHING
        return None

    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(script=script))
        channel = EmailChannel(sandbox.url, connections=8, timeout=TIMEOUT)
        await stack.enter_async_context(channel)
        yield Room(
            channel,
            mail,
            lambda: [each.recipients[0].partition("@")[0] for each in sandbox.mails],
            lambda: EmailChannel(f"smtp://127.0.0.1:{unused_port()}"),
        )


@asynccontextmanager
async def webhook_room() -> AsyncIterator[Room]:
    arrived: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        who = request.match_info["who"]
        await request.read()
        match who.partition("-")[0]:
            case "refuses":
                return web.Response(status=404, text="550 no such hook")
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
        arrived.append(who)
        return web.Response(text="thanks")

    app = web.Application()
    app.router.add_post("/{who}", answer)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(TestServer(app, host="127.0.0.1", shutdown_timeout=0.01))
        channel = WebhookChannel(connections=8, timeout=TIMEOUT, allow_private=True)
        await stack.enter_async_context(channel)

        def call(who: str) -> Call:
            port = unused_port() if who.startswith("nobody") else server.port
            return Call("POST", f"http://127.0.0.1:{port}/{who}", {}, b"{}", who)

        yield Room(channel, call, lambda: arrived, lambda: WebhookChannel(allow_private=True))


def scripted(who: str) -> SendResult:
    match who.partition("-")[0]:
        case "refuses":
            return SendResult(Result.FAILED, "550 5.1.1 no such user")
        case "waits":
            return SendResult(Result.RETRY, "451 4.7.1 try again in 5 minutes", 300)
        case "busy":
            return SendResult(Result.RETRY, "450 4.2.0 later")
        case "dies" | "sleeps":
            return SendResult(Result.UNKNOWN, "The whole message was sent, then nothing came.")
    return SendResult(Result.SENT, "250 2.0.0 queued")


class MemoryStore:
    """Where a sandbox keeps mails, in memory; one that is `away` lets nothing begin."""

    def __init__(self, away: bool = False) -> None:
        self.kept: list[Kept] = []
        self.away = away

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def add(self, messages: Sequence[Kept], begun: Callable[[], None]) -> list[int]:
        await asyncio.sleep(0)
        if self.away:
            raise OperationalError("connection refused")
        begun()
        self.kept += messages
        return list(range(len(self.kept) - len(messages) + 1, len(self.kept) + 1))


@asynccontextmanager
async def sandbox_room() -> AsyncIterator[Room]:
    def answers(mail: Mail) -> SendResult | None:
        delivery = scripted(mail.recipient)
        return None if delivery.result is Result.SENT else delivery

    store = MemoryStore()
    async with MailSandbox(store, answers) as channel:
        arrived = lambda: [each.recipient.partition("@")[0] for each in store.kept]  # noqa: E731
        yield Room(channel, mail, arrived, lambda: MailSandbox(MemoryStore(away=True)))


@asynccontextmanager
async def sms_room(make: Callable[[str], Any]) -> AsyncIterator[Room]:
    """A channel to a gateway on loopback."""
    gateway = FakeGateway()
    async with serving(gateway) as url, SmsChannel(make(url), connections=8, timeout=TIMEOUT) as channel:
        yield Room(
            channel,
            lambda who: message(who),
            lambda: gateway.arrived,
            lambda: SmsChannel(make(f"http://127.0.0.1:{unused_port()}")),
        )


def twilio_room() -> Any:
    return sms_room(twilio)


def described_room() -> Any:
    return sms_room(described)


@asynccontextmanager
async def sms_sandbox_room() -> AsyncIterator[Room]:
    def answers(text: Any) -> SendResult | None:
        delivery = scripted(text.text)
        return None if delivery.result is Result.SENT else delivery

    store = MemoryStore()
    async with SmsSandbox(store, answers) as channel:
        arrived = lambda: [each.content.decode() for each in store.kept]  # noqa: E731
        yield Room(channel, message, arrived, lambda: SmsSandbox(MemoryStore(away=True)))


ROOMS = {
    "email": email_room,
    "webhook": webhook_room,
    "sandbox": sandbox_room,
    "twilio": twilio_room,
    "described": described_room,
    "sms sandbox": sms_sandbox_room,
}


@pytest.fixture(params=ROOMS.values(), ids=ROOMS)
async def room(request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    async with request.param() as furnished:
        yield furnished


async def test_what_is_accepted_has_arrived_once(room: Room) -> None:
    delivery = await room.channel.send(room.to("accepts-1"))
    assert delivery.result is Result.SENT
    assert room.arrived() == ["accepts-1"]


async def test_it_is_told_once_that_the_content_goes_out_and_before_it_arrives(room: Room) -> None:
    told: list[list[str]] = []
    await room.channel.send(room.to("accepts-1"), lambda: told.append(list(room.arrived())))
    assert told == [[]]


@pytest.mark.parametrize(
    ("who", "result", "wait"),
    [
        ("refuses-1", Result.FAILED, None),
        ("busy-1", Result.RETRY, None),
        ("waits-1", Result.RETRY, 300),
        ("dies-1", Result.UNKNOWN, None),
        ("sleeps-1", Result.UNKNOWN, None),
    ],
)
async def test_trouble_is_a_delivery_and_the_next_message_goes_through(
    room: Room, who: str, result: Result, wait: float | None
) -> None:
    delivery = await room.channel.send(room.to(who))
    assert (delivery.result, delivery.retry_after) == (result, wait)
    after = await room.channel.send(room.to("accepts-2"))
    assert after.result is Result.SENT
    assert room.arrived() == ["accepts-2"]


@pytest.mark.parametrize("who", ["dies-1", "sleeps-1"])
async def test_what_is_unknown_was_told_to_go_out(room: Room, who: str) -> None:
    told: list[int] = []
    await room.channel.send(room.to(who), lambda: told.append(1))
    assert told == [1]


async def test_nothing_goes_out_to_where_nobody_listens(room: Room) -> None:
    told: list[int] = []
    async with room.abandoned() as channel:
        delivery = await channel.send(room.to("nobody-1"), lambda: told.append(1))
    assert delivery.result is Result.UNREACHABLE
    assert told == []


@pytest.mark.parametrize("who", ["accepts-1", "refuses-1", "busy-1", "waits-1", "dies-1"])
async def test_the_detail_is_one_line_for_people(room: Room, who: str) -> None:
    delivery = await room.channel.send(room.to(who))
    assert delivery.detail
    assert delivery.detail.isprintable()


async def test_many_at_once_each_get_their_own_answer(room: Room) -> None:
    kinds = {
        "accepts": Result.SENT, "refuses": Result.FAILED, "busy": Result.RETRY, "dies": Result.UNKNOWN,
    }  # fmt: skip
    people = [f"{how}-{number}" for number in range(25) for how in kinds]
    deliveries = await asyncio.gather(*(room.channel.send(room.to(who)) for who in people))
    assert [each.result for each in deliveries] == [kinds[who.partition("-")[0]] for who in people]
    assert sorted(room.arrived()) == sorted(who for who in people if who.startswith("accepts"))


async def test_a_send_that_is_cancelled_does_not_spoil_the_next(room: Room) -> None:
    under_way = asyncio.create_task(room.channel.send(room.to("sleeps-1")))
    await asyncio.sleep(0.05)
    under_way.cancel()
    await asyncio.gather(under_way, return_exceptions=True)
    for number in range(10):
        assert (await room.channel.send(room.to(f"accepts-{number}"))).result is Result.SENT
