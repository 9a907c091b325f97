"""A webhook is called once, with a key that its receiver can tell repetitions by, and only at public addresses."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from caravan.channels.webhook import Call, WebhookChannel, retry_after
from caravan.delivery.result import Result, SendResult

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Hook:
    """A server that answers as `answer` does and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[tuple[str, str, dict[str, str], bytes]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.calls.append((request.method, request.raw_path, dict(request.headers), body))
        return await self.answer(request)


@asynccontextmanager
async def hooked(answer: Answer | None = None, **options: Any) -> AsyncIterator[tuple[Hook, str, WebhookChannel]]:
    async def thanks(request: web.Request) -> web.StreamResponse:
        return web.Response(text="thanks")

    hook = Hook(answer or thanks)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hook.handle)
    settings = {"allow_private": True, "timeout": 5.0} | options
    async with (
        TestServer(app, host="127.0.0.1", shutdown_timeout=0.01) as server,
        WebhookChannel(**settings) as channel,
    ):
        yield hook, f"http://127.0.0.1:{server.port}", channel


@asynccontextmanager
async def answering(answer: str) -> AsyncIterator[str]:
    """A server that answers each call with these octets, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(b'{"a": 1}'))
        writer.write(answer.encode("utf-8"))
        with suppress(ConnectionError):
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def call(url: str, **changes: Any) -> Call:
    parts: dict[str, Any] = {
        "method": "POST",
        "url": url,
        "headers": {},
        "body": b'{"a": 1}',
        "key": "k1",
    } | changes
    return Call(**parts)


def says(status: int, text: str = "", **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=text.encode(), headers=named)

    return answer


class TestRequest:
    async def test_carries_method_url_headers_and_body_as_they_are(self) -> None:
        async with hooked() as (hook, url, channel):
            await channel.send(
                call(
                    f"{url}/a%2Fb?x=%3D",
                    method="put",
                    headers={"X-Shop": "Åsa's", "content-type": "application/json"},
                )
            )
        ((method, path, headers, body),) = hook.calls
        assert (method, path, body) == ("PUT", "/a%2Fb?x=%3D", b'{"a": 1}')
        assert headers["X-Shop"] == "Åsa's"
        assert headers["Content-Type"] == "application/json"

    @pytest.mark.parametrize(
        ("given", "asked"),
        [
            ("/künde%27.txt?sig=a%2Fb", "/k%C3%BCnde%27.txt?sig=a%2Fb"),
            ("/a%2fb/../c%7e?x=%3d&y=a+b%20c&&", "/a%2fb/../c%7e?x=%3d&y=a+b%20c&&"),
            ("/%E5%zz%?q='(!*)'&r=[1]#top", "/%E5%zz%?q='(!*)'&r=[1]"),
            ("/a b?c=日", "/a%20b?c=%E6%97%A5"),
            ("//a//?", "//a//?"),
            ("/a\r\nX: y?b\r\n\r\n\0", "/a%0D%0AX:%20y?b%0D%0A%0D%0A%00"),
        ],
    )
    async def test_asks_for_each_octet_of_its_url_as_it_is_written(self, given: str, asked: str) -> None:
        targets: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            targets.append((await reader.readline()).split(b" ")[1])
            writer.write(b"HTTP/1.1 204 Done\r\nConnection: close\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with WebhookChannel(allow_private=True, timeout=5) as channel:
                assert (await channel.send(call(f"http://127.0.0.1:{port}{given}"))).result is Result.SENT
        assert targets == [asked.encode("ascii")]

    async def test_shows_user_and_password_of_its_url_as_a_header_unless_the_step_sets_one(self) -> None:
        async with hooked() as (hook, url, channel):
            named = url.replace("://", "://b%40x:p%3Aw@")
            await channel.send(call(named))
            await channel.send(call(named, headers={"authorization": "Bearer t"}))
        assert [headers["Authorization"] for _, _, headers, _ in hook.calls] == ["Basic YkB4OnA6dw==", "Bearer t"]
        assert all("@" not in headers["Host"] for _, _, headers, _ in hook.calls)

    async def test_is_not_made_where_the_certificate_is_not_valid(self) -> None:
        told: list[int] = []
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(Path(__file__).with_name("localhost.pem"))
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        async with server, WebhookChannel(allow_private=True, timeout=5) as channel:
            url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
            delivery = await channel.send(call(url), lambda: told.append(1))
        assert delivery == SendResult(
            Result.UNREACHABLE, "The webhook was not called: its TLS certificate is not valid."
        )
        assert told == []

    async def test_has_an_idempotency_key_and_says_who_calls(self) -> None:
        async with hooked() as (hook, url, channel):
            await channel.send(call(url))
        headers = hook.calls[0][2]
        assert headers["Idempotency-Key"] == "k1"
        assert headers["User-Agent"] == "Caravan"

    async def test_may_say_otherwise_who_calls(self) -> None:
        async with hooked() as (hook, url, channel):
            await channel.send(call(url, headers={"user-agent": "Shop"}))
        assert hook.calls[0][2]["User-Agent"] == "Shop"

    async def test_may_have_no_body(self) -> None:
        async with hooked() as (hook, url, channel):
            assert (await channel.send(call(url, method="GET", body=b""))).result is Result.SENT
        assert hook.calls[0][3] == b""

    @pytest.mark.parametrize(
        "headers",
        [
            {"X": "a\r\nEvil: 1"}, {"X": "a\nb"}, {"X": "\0"}, {"X\r\nEvil": "1"}, {"X Y": "1"}, {"": "1"}, {"X:": "1"},
            {"Content-Length": "0"}, {"transfer-encoding": "chunked"}, {"Host": "evil.example.com"},
            {"Idempotency-Key": "mine"}, {"X": "\ud800"},
        ],
    )  # fmt: skip
    async def test_with_a_header_that_can_not_be_is_not_made(self, headers: dict[str, str]) -> None:
        async with hooked() as (hook, url, channel):
            delivery = await channel.send(call(url, headers=headers))
        assert (delivery.result, hook.calls) == (Result.FAILED, [])
        assert delivery.detail.isprintable()

    @pytest.mark.parametrize("method", ["", "PO ST", "GET / HTTP/1.1\r\nX: y"])
    async def test_with_a_method_that_can_not_be_is_not_made(self, method: str) -> None:
        async with hooked() as (hook, url, channel):
            assert (await channel.send(call(url, method=method))).result is Result.FAILED
        assert hook.calls == []

    @pytest.mark.parametrize("url", ["", "x", "ftp://example.com", "http://[", "http://2130706433/", "http:///x"])
    async def test_to_what_is_no_web_address_is_not_made(self, url: str) -> None:
        async with WebhookChannel(allow_private=True, timeout=1) as channel:
            assert (await channel.send(call(url))).result is Result.FAILED


class TestAnswer:
    @pytest.mark.parametrize(
        ("status", "result"),
        [
            (200, Result.SENT), (201, Result.SENT), (202, Result.SENT), (204, Result.SENT),
            (301, Result.FAILED), (302, Result.FAILED), (304, Result.FAILED), (308, Result.FAILED),
            (400, Result.FAILED), (401, Result.FAILED), (404, Result.FAILED), (409, Result.FAILED),
            (410, Result.FAILED), (422, Result.FAILED),
            (408, Result.RETRY), (425, Result.RETRY), (429, Result.RETRY),
            (500, Result.RETRY), (502, Result.RETRY), (503, Result.RETRY), (504, Result.RETRY),
        ],
    )  # fmt: skip
    async def test_its_status_decides(self, status: int, result: Result) -> None:
        async with hooked(says(status)) as (_, url, channel):
            delivery = await channel.send(call(url))
        assert delivery.result is result
        assert delivery.detail.startswith(str(status))

    async def test_a_redirect_is_not_followed(self) -> None:
        async with hooked(says(307, Location="/elsewhere")) as (hook, url, channel):
            delivery = await channel.send(call(f"{url}/here"))
        assert [path for _, path, _, _ in hook.calls] == ["/here"]
        assert delivery == SendResult(Result.FAILED, "307 (redirects are not followed)")

    async def test_its_beginning_is_shown_in_one_line(self) -> None:
        async with hooked(says(422, "no\r\nsuch\x00contact " + "x" * 9999)) as (_, url, channel):
            delivery = await channel.send(call(url))
        assert delivery.detail.startswith("422 no such contact xxx")
        assert len(delivery.detail) == len("422 ") + 200

    async def test_the_rest_of_it_is_not_waited_for(self) -> None:
        async def endless(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(bytes(10_000))
            return response

        async with hooked(endless) as (_, url, channel):
            assert (await channel.send(call(url))).result is Result.SENT

    async def test_that_breaks_off_after_its_status_counts_by_its_status(self) -> None:
        async def breaks(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b"half")
            assert request.transport is not None
            request.transport.close()
            return response

        async with hooked(breaks) as (_, url, channel):
            assert await channel.send(call(url)) == SendResult(Result.SENT, "200 half")

    @pytest.mark.parametrize("status", [200, 302, 503])
    @pytest.mark.parametrize(
        "head",
        [
            "X: " + "a" * 8_180, "X: " + "a" * 200_000, "Location: /" + "a" * 9_000,
            "Set-Cookie: a=b\r\n" * 2_000 + "X: y",
            "X" * 9_000 + ": y", "X: å", "X:", "Date: yesterday",
        ],
    )  # fmt: skip
    async def test_may_have_a_head_as_long_as_browsers_take(self, status: int, head: str) -> None:
        answer = f"HTTP/1.1 {status} OK\r\n{head}\r\nContent-Length: 2\r\n\r\nhi"
        async with answering(answer) as url, WebhookChannel(allow_private=True, timeout=5) as channel:
            delivery = await channel.send(call(url))
        assert delivery.detail.startswith(str(status)) and delivery.detail.endswith("hi")

    @pytest.mark.parametrize(
        "answer",
        [
            "HTTP/1.1 200 OK\r\nX: " + "a" * 300_000 + "\r\n\r\n", "HTTP/1.1 200 OK\r\n" + "X: y\r\n" * 20_000 + "\r\n",
            "220 mail.example.com ESMTP\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno header\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        ],
    )  # fmt: skip
    async def test_that_is_no_answer_is_called_that_and_not_a_lost_connection(self, answer: str) -> None:
        async with answering(answer) as url, WebhookChannel(allow_private=True, timeout=5) as channel:
            delivery = await channel.send(call(url))
        assert delivery.result is Result.UNKNOWN
        assert delivery.detail == "The request was sent, but the answer is not valid HTTP, or its head too long."

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("120", 120), ("0", None), ("00", None), ("Mon, 23 Nov 2026 12:05:00 GMT", 300), (" 7 ", 7),
            ("Mon, 23 Nov 2026 11:00:00 GMT", None), ("Mon, 23 Nov 2026 12:00:00 GMT", None),
            ("Mon, 23 Nov 9999 12:00:00 GMT", 86_400), ("Mon, 01 Jan 0001 00:00:00 GMT", None), ("86401", 86_400),
            ("", None), ("soon", None), ("-5", None), ("1.5", None), ("٣", None), ("9" * 400, 86_400),
        ],
    )  # fmt: skip
    def test_may_say_when_to_come_back(self, value: str, seconds: float | None) -> None:
        assert retry_after(value, NOON) == seconds

    @given(st.text(st.sampled_from("0123456789:,+- GMTZNovJan"), max_size=40) | st.integers().map(str) | st.text())
    def test_never_asks_for_less_than_a_moment_or_more_than_a_day(self, value: str) -> None:
        seconds = retry_after(value, NOON)
        assert seconds is None or 0 < seconds <= 86_400


class Names(AbstractResolver):
    """Every name has this address."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host=self.address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None: ...


class TestAddressRules:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "127.1", "2130706433", "[::ffff:127.0.0.1]", "localhost", "x.example.com"]
    )
    async def test_a_private_address_is_never_called(self, host: str) -> None:
        resolver = Names("127.0.0.1") if host == "x.example.com" else None
        told: list[int] = []
        async with hooked(allow_private=False, resolver=resolver) as (hook, url, channel):
            delivery = await channel.send(call(url.replace("127.0.0.1", host)), lambda: told.append(1))
        assert (delivery.result, hook.calls, told) == (Result.FAILED, [], [])
        assert "public address" in delivery.detail or "not public" in delivery.detail

    async def test_a_name_that_is_not_found_is_a_trouble_of_the_channel(self) -> None:
        class Nothing(Names):
            async def resolve(self, *args: Any, **more: Any) -> list[ResolveResult]:
                raise OSError("not found")

        async with WebhookChannel(resolver=Nothing(""), timeout=1) as channel:
            delivery = await channel.send(call("http://nowhere.example.com/?token=secret"))
        assert delivery == SendResult(Result.UNREACHABLE, "The webhook was not called: its host name was not found.")


class TestConnections:
    async def test_are_shared_by_one_call_after_the_other(self) -> None:
        peers = set()

        async def note(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            peers.add(request.transport.get_extra_info("peername"))
            return web.Response()

        async with hooked(note) as (hook, url, channel):
            for _ in range(5):
                await channel.send(call(url))
        assert (len(hook.calls), len(peers)) == (5, 1)

    async def test_are_no_more_than_allowed_and_waiting_for_one_takes_no_time_off_a_call(self) -> None:
        at_once, most = 0, 0

        async def slow(request: web.Request) -> web.StreamResponse:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.05)
            at_once -= 1
            return web.Response()

        async with hooked(slow, connections=2, timeout=0.2) as (_, url, channel):
            deliveries = await asyncio.gather(*(channel.send(call(url)) for _ in range(12)))
        assert most == 2
        assert {each.result for each in deliveries} == {Result.SENT}

    async def test_that_the_server_closed_meanwhile_are_opened_anew(self) -> None:
        async def closes(request: web.Request) -> web.StreamResponse:
            response = web.Response()
            response.force_close()
            return response

        async with hooked(closes) as (hook, url, channel):
            results = [(await channel.send(call(url))).result for _ in range(3)]
        assert results == [Result.SENT] * 3
        assert len(hook.calls) == 3

    async def test_a_host_that_does_not_answer_the_dial_is_unreachable(self) -> None:
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            port = deaf.getsockname()[1]
            fillers = [socket.socket() for _ in range(4)]
            for each in fillers:  # they fill the queue of connections that nobody accepts
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", port))
            async with WebhookChannel(allow_private=True, timeout=0.2) as channel:
                delivery = await channel.send(call(f"http://127.0.0.1:{port}/"))
            for each in fillers:
                each.close()
        assert delivery == SendResult(Result.UNREACHABLE, "The webhook was not called: its host did not answer.")


async def test_never_are_more_calls_in_doubt_than_there_are_connections() -> None:
    doubted: set[int] = set()
    counts: list[int] = []

    async with hooked(connections=5) as (_, url, channel):

        async def send(number: int) -> None:
            def under_way() -> None:
                doubted.add(number)
                counts.append(len(doubted))

            assert (await channel.send(Call("POST", url, {}, b"{}", f"k{number}"), under_way)).result is Result.SENT
            doubted.remove(number)

        await asyncio.gather(*(send(n) for n in range(60)))
    assert len(counts) == 60
    assert max(counts) == 5
