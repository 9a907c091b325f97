"""Mails reach the relay once, over few connections, and whatever the relay does is told for what it is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from caravan.channels.email import EmailChannel
from caravan.channels.mail import Mail
from caravan.channels.relay import Relay, Tls
from caravan.channels.replies import Stage
from caravan.channels.sandbox import Act, Received, Sandbox
from caravan.delivery.result import Result, SendResult
from caravan.errors import InvalidSetting
from caravan.store.suppressions import Reason

Script = Callable[[Stage, Received], str | Act | None]


def mail(to: str = "bruce@example.com", content: bytes = b"Subject: x\r\n\r\nHi\r\n", **changes: Any) -> Mail:
    return Mail(changes.get("sender", "shop@example.com"), to, "<1@example.com>", content)


def when(stage: Stage, *answers: str | Act | None) -> Script:
    """At `stage`, answer with the next of `answers`, and then well."""
    rest = iter(answers)
    return lambda at, received: next(rest, None) if at is stage else None


@asynccontextmanager
async def relayed(script: Script | None = None, **options: Any) -> AsyncIterator[tuple[Sandbox, EmailChannel]]:
    offers = {"extensions": options.pop("extensions")} if "extensions" in options else {}
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(script=script, **offers))
        channel = EmailChannel(sandbox.url, **({"timeout": 0.3} | options))
        yield sandbox, await stack.enter_async_context(channel)


WAYS = pytest.mark.parametrize(
    "extensions",
    [("PIPELINING",), (), ("PIPELINING", "CHUNKING"), ("CHUNKING",)],
    ids=["pipelined", "in turn", "chunks pipelined", "chunks in turn"],
)


class TestMail:
    @WAYS
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b".\r\n",
            b".",
            b"\r\n.\r\n",
            b"a\r\n.\r\nb\r\n",
            b"..\r\n.a\r\n...\r\n",
            b"Subject: x\r\n\r\n.\r\nQUIT\r\n.\r\n",
            b"no end",
            bytes(range(256)).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n",
            b"x" * 3_000_000 + b"\r\n",
        ],
    )
    async def test_arrives_octet_for_octet(self, content: bytes, extensions: tuple[str, ...]) -> None:
        async with relayed(extensions=extensions, timeout=5) as (sandbox, channel):
            assert (await channel.send(mail(content=content))).result is Result.SENT
            assert (await channel.send(mail())).result is Result.SENT
        assert sandbox.mails[0].content == (content if content.endswith(b"\r\n") else content + b"\r\n")
        assert len(sandbox.mails) == 2

    @WAYS
    async def test_has_its_envelope(self, extensions: tuple[str, ...]) -> None:
        async with relayed(extensions=extensions) as (sandbox, channel):
            delivery = await channel.send(mail("bruce+x@example.com", sender="bounce@example.com"))
        assert delivery == SendResult(Result.SENT, "250 2.0.0 queued as 000001")
        assert (sandbox.mails[0].sender, sandbox.mails[0].recipients) == (
            "bounce@example.com",
            ["bruce+x@example.com"],
        )

    @WAYS
    @pytest.mark.parametrize("address", ['"a b"@b.co', '"a>b<c"@b.co', '"a\\"b@c"@b.co'])
    async def test_goes_to_an_address_in_quotes(self, address: str, extensions: tuple[str, ...]) -> None:
        async with relayed(extensions=extensions) as (sandbox, channel):
            assert (await channel.send(mail(address))).result is Result.SENT
        assert sandbox.mails[0].recipients == [address]

    @pytest.mark.parametrize(
        "address",
        [
            "a@b.co>\r\nRSET",
            '"a"b c"@b.co',
            '"a\r\nb"@b.co',
            '"a> b@c.co',
            '"a\\"@b.co> x',
            "a b@c.co",
            "a@b.co>",
            "<a@b.co",
            "a\0@b.co",
            "\ud800@b.co",
        ],
    )
    async def test_never_makes_a_command_of_an_address(self, address: str) -> None:
        async with relayed() as (sandbox, channel):
            for each in (mail(address), mail(sender=address)):
                assert (await channel.send(each)).result is Result.FAILED
        assert sandbox.connections == 0


class TestBeyondAscii:
    async def test_is_sent_where_the_relay_takes_it(self) -> None:
        async with relayed() as (sandbox, channel):
            assert (await channel.send(mail("åsa@example.com"))).result is Result.SENT
        assert sandbox.mails[0].recipients == ["åsa@example.com"]

    async def test_is_unsupported_where_it_does_not(self) -> None:
        async with relayed(extensions=("PIPELINING",)) as (sandbox, channel):
            told: list[int] = []
            delivery = await channel.send(mail("åsa@example.com"), lambda: told.append(1))
            assert (await channel.send(mail())).result is Result.SENT
        assert (delivery.result, told) == (Result.UNSUPPORTED, [])
        assert sandbox.connections == 1


@WAYS
class TestRefusals:
    @pytest.mark.parametrize(
        ("stage", "reply", "result"),
        [
            (Stage.MAIL, "452 4.3.1 disk full", Result.RETRY),
            (Stage.MAIL, "550 5.1.8 bad sender", Result.FAILED),
            (Stage.MAIL, "550 5.7.1 not you", Result.UNREACHABLE),
            (Stage.RCPT, "450 4.2.0 later", Result.RETRY),
            (Stage.RCPT, "550 5.1.1 no such user", Result.FAILED),
            (Stage.RCPT, "552 5.2.2 full", Result.FAILED),
            (Stage.DATA, "451 4.3.0 later", Result.RETRY),
            (Stage.DATA, "554 5.5.0 no", Result.FAILED),
            (Stage.CONTENT, "451 4.3.0 later", Result.RETRY),
            (Stage.CONTENT, "554 5.7.1 spam", Result.FAILED),
            (Stage.CONTENT, "421 4.3.2 closing", Result.RETRY),
            (Stage.CONTENT, "mumble", Result.UNKNOWN),
            (Stage.RCPT, "mumble", Result.RETRY),
        ],
    )
    async def test_concern_this_mail_alone(
        self, stage: Stage, reply: str, result: Result, extensions: tuple[str, ...]
    ) -> None:
        if stage is Stage.DATA and "CHUNKING" in extensions:
            return  # there is no such stage then
        told: list[int] = []
        async with relayed(when(stage, reply), extensions=extensions) as (sandbox, channel):
            delivery = await channel.send(mail(), lambda: told.append(1))
            after = [await channel.send(mail(f"{n}@example.com")) for n in range(3)]
        said = reply if reply != "mumble" else "000 mumble"
        bad = Reason.HARD_BOUNCE if reply.startswith("550 5.1.1") else None
        assert delivery == SendResult(result, said, suppress=bad)
        assert bool(told) == (stage is Stage.CONTENT)
        assert {each.result for each in after} == {Result.SENT}
        assert [each.recipients for each in sandbox.mails] == [[f"{n}@example.com"] for n in range(3)]

    async def test_keep_the_connection(self, extensions: tuple[str, ...]) -> None:
        script = when(Stage.RCPT, "550 5.1.1 no", "450 4.1.1 later", "550 5.1.1 no")
        async with relayed(script, extensions=extensions) as (sandbox, channel):
            for _ in range(5):
                await channel.send(mail())
        assert sandbox.connections == 1
        assert len(sandbox.mails) == 2

    async def test_of_several_lines_are_one_line(self, extensions: tuple[str, ...]) -> None:
        script = when(Stage.RCPT, "550-5.1.1 The account\r\n550-5.1.1 does not\r\n550 5.1.1 exist.")
        async with relayed(script, extensions=extensions) as (_, channel):
            assert (await channel.send(mail())).detail == "550 5.1.1 The account does not exist."

    async def test_may_say_when_to_come_back(self, extensions: tuple[str, ...]) -> None:
        script = when(Stage.RCPT, "451 4.7.1 try again in 5 minutes")
        async with relayed(script, extensions=extensions) as (_, channel):
            assert (await channel.send(mail())).retry_after == 300


async def test_a_relay_that_takes_data_without_a_recipient_gets_no_content() -> None:
    """RFC 2920 §3.1: a pipelined DATA may be accepted although the only RCPT was refused."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        for reply in (
            b"250-x\r\n250 PIPELINING",
            b"250 ok",
            b"550 no",
            b"354 go",
            b"554 nobody",
            b"250 reset",
        ):
            heard.append(await reader.readline())
            writer.write(reply + b"\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, EmailChannel(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}") as channel:
        assert (await channel.send(mail())).detail == "550 no"
    assert heard[3:5] == [b"DATA\r\n", b".\r\n"]


class TestLostConnection:
    @WAYS
    @pytest.mark.parametrize("stage", [Stage.MAIL, Stage.RCPT, Stage.DATA])
    @pytest.mark.parametrize("act", Act)
    async def test_before_the_content_is_tried_again_later(
        self, stage: Stage, act: Act, extensions: tuple[str, ...]
    ) -> None:
        if stage is Stage.DATA and "CHUNKING" in extensions:
            return  # there is no such stage then
        told: list[int] = []
        async with relayed(when(stage, act), extensions=extensions, timeout=0.1) as (sandbox, channel):
            delivery = await channel.send(mail(), lambda: told.append(1))
        assert delivery.result is Result.RETRY
        assert told == []
        assert sandbox.mails == []

    @pytest.mark.parametrize("act", Act)
    async def test_after_the_content_is_unknown(self, act: Act) -> None:
        async with relayed(when(Stage.CONTENT, act), timeout=0.1) as (_, channel):
            delivery = await channel.send(mail())
        assert delivery.result is Result.UNKNOWN
        assert delivery.detail.startswith("The whole mail was sent, then ")

    @pytest.mark.parametrize("goodbye", [Act.HANG_UP, "421 4.4.2 too many mails"])
    @pytest.mark.parametrize("stage", [Stage.MAIL, Stage.RCPT, Stage.DATA])
    @WAYS
    async def test_of_a_kept_connection_is_no_fault_of_the_contact(
        self, stage: Stage, goodbye: str | Act, extensions: tuple[str, ...]
    ) -> None:
        if stage is Stage.DATA and "CHUNKING" in extensions:
            return  # there is no such stage then
        async with relayed(when(stage, None, goodbye), extensions=extensions) as (sandbox, channel):
            results = [(await channel.send(mail(f"{n}@example.com"))).result for n in range(3)]
        assert results == [Result.SENT] * 3
        assert [each.recipients for each in sandbox.mails] == [[f"{n}@example.com"] for n in range(3)]
        assert sandbox.connections == 2

    async def test_while_nobody_sent_is_noticed(self) -> None:
        async with relayed() as (sandbox, channel):
            await channel.send(mail())
            for task in list(sandbox._tasks):
                task.cancel()
            await asyncio.sleep(0.05)
            assert (await channel.send(mail())).result is Result.SENT
        assert sandbox.connections == 2

    async def test_421_on_a_fresh_connection_is_a_temporary_refusal(self) -> None:
        async with relayed(when(Stage.MAIL, "421 4.7.0 try again in 10 minutes")) as (_, channel):
            delivery = await channel.send(mail())
        assert (delivery.result, delivery.retry_after) == (Result.RETRY, 600)

    async def test_a_reply_without_end_is_cut_off(self) -> None:
        async with relayed(when(Stage.RCPT, "550-x\r\n" * 70_000 + "550 x")) as (_, channel):
            assert (await channel.send(mail())).result is Result.RETRY
            assert (await channel.send(mail())).result is Result.SENT


class TestUnreachable:
    @pytest.mark.parametrize(
        "greeting", ["554 5.7.1 go away", "421 4.3.2 too busy", "mumble", Act.HANG_UP, Act.SAY_NOTHING]
    )
    async def test_a_relay_that_does_not_welcome_us_is_no_fault_of_the_contact(self, greeting: str | Act) -> None:
        async with relayed(when(Stage.CONNECT, greeting), timeout=0.1) as (_, channel):
            assert (await channel.send(mail())).result is Result.UNREACHABLE
            assert (await channel.send(mail())).result is Result.SENT

    async def test_says_who_refused_and_what_it_said(self) -> None:
        async with relayed(when(Stage.CONNECT, "554 5.7.1 go away")) as (sandbox, channel):
            delivery = await channel.send(mail())
        assert delivery.detail == f"{sandbox.url.removeprefix('smtp://')} answered 554 5.7.1 go away"

    async def test_a_name_that_does_not_exist(self) -> None:
        async with EmailChannel("smtp://relay.invalid", timeout=1) as channel:
            assert (await channel.send(mail())).result is Result.UNREACHABLE


class TestPool:
    async def test_opens_no_more_connections_than_it_may(self) -> None:
        async with relayed(connections=3) as (sandbox, channel):
            await asyncio.gather(*(channel.send(mail(f"{n}@example.com")) for n in range(50)))
        assert sandbox.connections == 3
        assert sorted(each.recipients[0] for each in sandbox.mails) == sorted(f"{n}@example.com" for n in range(50))

    async def test_opens_none_before_it_must(self) -> None:
        async with relayed() as (sandbox, _):
            assert sandbox.connections == 0

    async def test_uses_one_connection_for_one_mail_after_the_other(self) -> None:
        async with relayed() as (sandbox, channel):
            for _ in range(10):
                await channel.send(mail())
        assert sandbox.connections == 1

    async def test_changes_the_connection_after_so_many_mails(self) -> None:
        async with relayed(mails_each=4) as (sandbox, channel):
            for _ in range(10):
                await channel.send(mail())
        assert sandbox.connections == 3

    async def test_leaves_an_idle_connection(self) -> None:
        async with relayed(idle=0.05) as (sandbox, channel):
            await channel.send(mail())
            await asyncio.sleep(0.15)
            assert not sandbox._tasks
            assert (await channel.send(mail())).result is Result.SENT
        assert sandbox.connections == 2

    async def test_leaves_none_open_when_it_closes(self) -> None:
        async with Sandbox() as sandbox:
            async with EmailChannel(sandbox.url, connections=5) as channel:
                await asyncio.gather(*(channel.send(mail()) for _ in range(20)))
            await asyncio.sleep(0.05)
            assert not sandbox._tasks


class TestUrl:
    @pytest.mark.parametrize(
        ("url", "relay"),
        [
            ("smtp://127.0.0.1:2525", Relay("127.0.0.1", 2525, Tls.STARTTLS, None, "")),
            ("smtp://mail.example.com", Relay("mail.example.com", 25, Tls.STARTTLS, None, "")),
            (
                "smtp://mail.example.com:587?tls=required",
                Relay("mail.example.com", 587, Tls.REQUIRED, None, ""),
            ),
            ("smtp://mail.example.com?tls=none", Relay("mail.example.com", 25, Tls.NONE, None, "")),
            (
                "smtps://u%40x:p%3Aw@mail.example.com",
                Relay("mail.example.com", 465, Tls.FROM_START, "u@x", "p:w"),
            ),
            ("smtp://[::1]:25/", Relay("::1", 25, Tls.STARTTLS, None, "")),
        ],
    )
    def test_is_read(self, url: str, relay: Relay) -> None:
        assert Relay.of(url) == relay

    @pytest.mark.parametrize(
        "url",
        [
            "", "mail.example.com", "http://x", "smtp://", "smtp://x:99999", "smtp://x?tls=maybe", "smtp://x?ssl=1",
            "smtp://x/inbox", "smtp://u:secret@x:port",
        ],
    )  # fmt: skip
    def test_that_can_not_be_used_is_refused_without_its_password(self, url: str) -> None:
        with pytest.raises(InvalidSetting) as caught:
            EmailChannel(url)
        assert "secret" not in caught.value.message
