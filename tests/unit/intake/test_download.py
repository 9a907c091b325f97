"""A contact file arrives whole and once, or its batch fails with one sentence that gives no secret away."""

import asyncio
import gzip
import hashlib
import logging
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from caravan.addresses import is_public
from caravan.errors import FileFailed, FileFailure, Unavailable
from caravan.intake.download import Downloaded, download
from tests.unit.intake.origin import CONTENT, Origin, Request, breaks_after, rest_of, running, says, whole


class Pauses:
    """A sleep that takes no time and remembers how long it should have been."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def get(tmp_path: Path, pauses: Pauses) -> Callable[..., Awaitable[Downloaded]]:
    """`download` into a file that `tmp_path / "file"` names, private addresses allowed, short timeouts."""

    async def start(url: str, **changes: Any) -> Downloaded:
        settings = {
            "allow_private": True, "max_bytes": 10_000_000, "timeout": 5, "retry_delay": 1, "sleep": pauses,
        } | changes  # fmt: skip
        return await download(url, tmp_path / "file", **settings)

    return start


@pytest.fixture
def front_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 127.0.0.9, and no other address of this machine, stand for a server on the internet."""

    def is_public_or_front(address: object) -> bool:
        return str(address) == "127.0.0.9" or is_public(ip_address(str(address)))

    monkeypatch.setattr("caravan.addresses.is_public", is_public_or_front)


class TestWholeFile:
    async def test_is_stored_octet_for_octet(self, get: Any, tmp_path: Path) -> None:
        async with running(Origin(whole)) as url:
            got = await get(f"{url}/contacts.ndjson")
        assert (tmp_path / "file").read_bytes() == CONTENT
        assert got == Downloaded(len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), None)

    async def test_stays_compressed_and_its_encoding_is_told(self, get: Any, tmp_path: Path) -> None:
        packed = gzip.compress(CONTENT)
        async with running(Origin(says("200 OK", packed, Content_Encoding="GZIP"))) as url:
            got = await get(url)
        assert (tmp_path / "file").read_bytes() == packed
        assert (got.bytes, got.content_encoding) == (len(packed), "gzip")

    async def test_may_come_in_chunks_without_a_length(self, get: Any, tmp_path: Path) -> None:
        async def chunked(request: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

        async with running(Origin(chunked)) as url:
            await get(url)
        assert (tmp_path / "file").read_bytes() == b"abcde"

    async def test_may_be_empty(self, get: Any) -> None:
        async with running(Origin(says("200 OK"))) as url:
            assert (await get(url)).bytes == 0

    async def test_replaces_what_was_in_the_target(self, get: Any, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x" * 1_000_000)
        async with running(Origin(says("200 OK", b"short"))) as url:
            await get(url)
        assert (tmp_path / "file").read_bytes() == b"short"

    async def test_tells_its_progress(self, get: Any) -> None:
        told: list[int] = []
        async with running(Origin(whole)) as url:
            await get(url, progress=told.append)
        assert told == sorted(told)
        assert told[-1] == len(CONTENT)

    async def test_asks_for_the_url_as_it_was_signed(self, get: Any) -> None:
        origin = Origin(whole)
        async with running(origin) as url:
            await get(f"{url}/a%2Fb.ndjson?sig=ab%2Fc%3D%7e+d")
        assert origin.requests[0].target == "/a%2Fb.ndjson?sig=ab%2Fc%3D%7e+d"

    async def test_asks_for_no_compression_on_the_way_which_would_break_ranges(self, get: Any) -> None:
        origin = Origin(whole)
        async with running(origin) as url:
            await get(url)
        assert origin.requests[0].headers["accept-encoding"] == "identity"

    async def test_is_asked_for_with_the_password_in_the_url(self, get: Any) -> None:
        origin = Origin(whole)
        async with running(origin) as url:
            await get(url.replace("http://", "http://anna:open@"))
        assert origin.requests[0].headers["authorization"] == "Basic YW5uYTpvcGVu"


class TestRetries:
    async def test_a_server_error_is_tried_again_with_growing_pauses(self, get: Any, pauses: Pauses) -> None:
        answers = says("500 Oops"), says("502 Oops"), says("503 Oops"), whole
        async with running(Origin(*answers)) as url:
            assert (await get(url)).bytes == len(CONTENT)
        assert pauses.taken == [1, 2, 4]

    @pytest.mark.parametrize("status", ["408 Late", "425 Early", "429 Slow down", "503 Busy"])
    async def test_a_server_may_say_when_to_come_back(self, get: Any, pauses: Pauses, status: str) -> None:
        async with running(Origin(says(status, Retry_After="30"), whole)) as url:
            assert (await get(url)).bytes == len(CONTENT)
        assert pauses.taken == [30]

    async def test_no_server_makes_it_wait_for_hours(self, get: Any, pauses: Pauses) -> None:
        async with running(Origin(says("503 Busy", Retry_After="999999"), whole)) as url:
            await get(url)
        assert pauses.taken == [300]

    async def test_it_gives_up_after_five_attempts(self, get: Any, pauses: Pauses) -> None:
        origin = Origin(says("500 Oops"))
        async with running(origin) as url:
            with pytest.raises(FileFailed, match=r"answered 500 \(5 attempts\)\.$") as caught:
                await get(f"{url}/c.ndjson?sig=secret")
        assert len(origin.requests) == 5
        assert pauses.taken == [1, 2, 4, 8]
        assert caught.value.code is FileFailure.DOWNLOAD_FAILED

    async def test_a_broken_transfer_goes_on_where_it_broke(self, get: Any, tmp_path: Path) -> None:
        origin = Origin(breaks_after(70_000, ETag='"v1"'), rest_of(ETag='"v1"'))
        async with running(origin) as url:
            got = await get(url)
        assert (tmp_path / "file").read_bytes() == CONTENT
        assert got.sha256 == hashlib.sha256(CONTENT).hexdigest()
        assert origin.requests[1].headers["range"] == "bytes=70000-"
        assert origin.requests[1].headers["if-range"] == '"v1"'

    async def test_another_file_meanwhile_starts_it_anew(self, get: Any, tmp_path: Path) -> None:
        origin = Origin(breaks_after(70_000, ETag='"v1"'), says("200 OK", b"another", ETag='"v2"'))
        async with running(origin) as url:
            got = await get(url)
        assert (tmp_path / "file").read_bytes() == b"another"
        assert got == Downloaded(7, hashlib.sha256(b"another").hexdigest(), None)

    async def test_a_transfer_that_ends_early_without_a_sign_of_it_is_broken(self, get: Any) -> None:
        async def early(request: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")

        async with running(Origin(early, whole)) as url:
            assert (await get(url)).bytes == len(CONTENT)

    async def test_progress_gives_it_new_attempts(self, get: Any, tmp_path: Path) -> None:
        big = bytes(8 << 20)

        async def a_piece(request: Request, writer: asyncio.StreamWriter) -> None:
            start = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            piece = big[start : start + (2 << 20)]
            span = f"bytes {start}-{len(big) - 1}/{len(big)}"
            status = "206 Partial Content" if start else "200 OK"
            await says(status, piece, len(big) - start, ETag='"v1"', Content_Range=span)(request, writer)

        origin = Origin(a_piece)
        async with running(origin) as url:
            got = await get(url, attempts=2)
        assert got.bytes == len(big)
        assert len(origin.requests) >= 4

    async def test_a_refused_connection_is_tried_again(self, get: Any, pauses: Pauses) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(FileFailed, match="its host refused the connection"):
            await get(f"http://127.0.0.1:{port}/", attempts=3)
        assert len(pauses.taken) == 2

    async def test_a_name_without_an_address_is_tried_again(self, get: Any, pauses: Pauses) -> None:
        with pytest.raises(FileFailed, match="its host name was not found"):
            await get("http://nowhere.example.com/", attempts=2, resolver=Names())
        assert len(pauses.taken) == 1


class TestSilence:
    async def test_a_server_that_says_nothing_is_left(self, get: Any) -> None:
        async def silent(request: Request, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(30)

        async with running(Origin(silent)) as url:
            with pytest.raises(FileFailed, match=r"nothing came for 0\.1 seconds"):
                await get(url, timeout=0.1, attempts=2)

    async def test_a_server_that_drips_its_headers_is_left(self, get: Any) -> None:
        async def drips(request: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                writer.write(b"X: y\r\n")
                await asyncio.sleep(0.02)

        async with running(Origin(drips)) as url:
            with pytest.raises(FileFailed, match=r"nothing came for 0\.1 seconds"):
                await get(url, timeout=0.1, attempts=1)

    async def test_a_server_that_stops_in_the_middle_is_left_and_the_rest_is_asked_for(
        self, get: Any, tmp_path: Path
    ) -> None:
        async def stops(request: Request, writer: asyncio.StreamWriter) -> None:
            await breaks_after(70_000, ETag='"v1"')(request, writer)
            await writer.drain()
            await asyncio.sleep(30)

        async with running(Origin(stops, rest_of(ETag='"v1"'))) as url:
            await get(url, timeout=0.2)
        assert (tmp_path / "file").read_bytes() == CONTENT

    async def test_a_server_that_drips_its_body_is_left(self, get: Any) -> None:
        async def drips(request: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.01)

        async with running(Origin(drips)) as url:
            with pytest.raises(FileFailed, match="it stood nearly still"):
                await get(url, timeout=0.15, attempts=1)


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "hint"),
        [
            (401, "the address answered 401; is its signature still valid?"),
            (403, "the address answered 403; is its signature still valid?"),
            (404, "the address answered 404; is the address right, and is the file still there?"),
            (410, "the address answered 410; is the file still there?"),
            (400, "the address answered 400."),
            (204, "the address answered 204."),
        ],
    )
    async def test_another_status_fails_at_once(self, get: Any, status: int, hint: str) -> None:
        origin = Origin(says(f"{status} No"))
        async with running(origin) as url:
            with pytest.raises(FileFailed) as caught:
                await get(f"{url}/c.ndjson?sig=secret")
        assert caught.value.message == f"The download of {url}/c.ndjson failed: {hint}"
        assert len(origin.requests) == 1

    async def test_an_announced_size_beyond_the_limit_fails_before_it_is_read(self, get: Any) -> None:
        async with running(Origin(says("200 OK", b"x", 10_000_001))) as url:
            with pytest.raises(FileFailed, match="larger than the 10,000,000 bytes") as caught:
                await get(url)
        assert caught.value.code is FileFailure.TOO_LARGE

    async def test_an_unannounced_size_beyond_the_limit_fails_while_it_is_read(self, get: Any, tmp_path: Path) -> None:
        async def endless(request: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"1000\r\n" + bytes(4096) + b"\r\n")
                await writer.drain()

        async with running(Origin(endless)) as url:
            with pytest.raises(FileFailed) as caught:
                await get(url, max_bytes=100_000)
        assert caught.value.code is FileFailure.TOO_LARGE
        assert (tmp_path / "file").stat().st_size <= 100_000

    async def test_a_file_of_exactly_the_limit_is_taken(self, get: Any) -> None:
        async with running(Origin(whole)) as url:
            assert (await get(url, max_bytes=len(CONTENT))).bytes == len(CONTENT)

    @pytest.mark.parametrize("url", ["ftp://example.com/x?sig=secret", "secret", "http://[secret", "file:///secret"])
    async def test_what_is_no_web_address_fails_without_being_repeated(self, get: Any, url: str) -> None:
        with pytest.raises(FileFailed) as caught:
            await get(url)
        assert caught.value.code is FileFailure.DOWNLOAD_FAILED
        assert "sig" not in caught.value.message

    async def test_a_disk_that_is_full_is_told_as_such(self, get: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(part: object, chunk: bytes) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("caravan.intake.download._Part.write", full)
        origin = Origin(whole)
        async with running(origin) as url:
            with pytest.raises(Unavailable, match="can't be stored here: No space left on device"):
                await get(url)
        assert len(origin.requests) == 1


class Names(AbstractResolver):
    """A resolver whose n-th answer is the n-th of `answers`, the last one for ever; none at all: not found."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if not self.answers:
            raise OSError("not found")
        address = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None: ...


class TestAddressRules:
    @pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost"])
    async def test_a_private_address_is_never_asked(self, get: Any, pauses: Pauses, host: str) -> None:
        origin = Origin(whole)
        async with running(origin) as url:
            with pytest.raises(FileFailed, match="public") as caught:
                await get(f"{url.replace('127.0.0.1', host)}/x?sig=secret", allow_private=False)
        assert origin.requests == []
        assert pauses.taken == []
        assert "secret" not in caught.value.message

    async def test_a_name_with_a_private_address_is_never_asked(self, get: Any) -> None:
        origin = Origin(whole)
        async with running(origin) as url:
            named = url.replace("127.0.0.1", "files.example.com")
            with pytest.raises(FileFailed, match=r"files\.example\.com has no public address"):
                await get(named, allow_private=False, resolver=Names("127.0.0.1"))
        assert origin.requests == []

    async def test_a_name_that_turns_private_between_attempts_is_not_asked(
        self, get: Any, front_is_public: None
    ) -> None:
        inside = Origin(whole)
        async with running(inside) as private:
            port = int(private.rpartition(":")[2])
            front = Origin(breaks_after(9))
            async with running(front, "127.0.0.9", port):
                with pytest.raises(FileFailed, match="has no public address"):
                    url = f"http://files.example.com:{port}/"
                    await get(url, allow_private=False, resolver=Names("127.0.0.9", "127.0.0.1"))
        assert len(front.requests) == 1
        assert inside.requests == []


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_is_followed(self, get: Any, status: int) -> None:
        origin = Origin(says(f"{status} Over there", Location="/there%2F?sig=a%2Fb"), whole)
        async with running(origin) as url:
            assert (await get(url)).bytes == len(CONTENT)
        assert origin.requests[1].target == "/there%2F?sig=a%2Fb"

    async def test_five_are_followed_and_six_are_not(self, get: Any) -> None:
        over_there = says("302 Over there", Location="/x")
        async with running(Origin(*[over_there] * 5, whole)) as url:
            assert (await get(url)).bytes == len(CONTENT)
        origin = Origin(over_there)
        async with running(origin) as url:
            with pytest.raises(FileFailed, match="redirected more than 5 times"):
                await get(url)
        assert len(origin.requests) == 6

    @pytest.mark.parametrize("location", ["", "ftp://example.com/", "file:///etc/passwd", "http://[", "javascript:x"])
    async def test_to_elsewhere_than_the_web_fails(self, get: Any, location: str) -> None:
        origin = Origin(says("302 Over there", Location=location))
        async with running(origin) as url:
            with pytest.raises(FileFailed):
                await get(url)
        assert len(origin.requests) == 1

    @pytest.mark.parametrize("target", ["127.0.0.1", "127.1", "[::ffff:127.0.0.1]", "localhost", "10.0.0.1"])
    async def test_to_a_private_address_is_refused(self, get: Any, front_is_public: None, target: str) -> None:
        inside = Origin(whole)
        async with running(inside) as private:
            port = private.rpartition(":")[2]
            hop = Origin(says("302 Over there", Location=f"http://{target}:{port}/metadata"))
            async with running(hop, "127.0.0.9") as front:
                with pytest.raises(FileFailed, match="public"):
                    await get(front, allow_private=False)
        assert len(hop.requests) == 1
        assert inside.requests == []

    async def test_does_not_carry_the_password_on(self, get: Any) -> None:
        origin = Origin(says("302 Over there", Location="/x"), whole)
        async with running(origin) as url:
            await get(url.replace("http://", "http://anna:open@"))
        assert "authorization" in origin.requests[0].headers
        assert "authorization" not in origin.requests[1].headers

    async def test_may_not_bring_a_password_of_its_own(self, get: Any) -> None:
        origin = Origin(says("302 Over there"), whole)
        async with running(origin) as url:
            origin.answers[0] = says("302 Over there", Location=url.replace("http://", "http://eve:x@"))
            await get(url)
        assert "authorization" not in origin.requests[1].headers

    async def test_takes_no_cookie_along(self, get: Any) -> None:
        origin = Origin(says("302 Over there", Location="/x", Set_Cookie="a=b"), whole)
        async with running(origin) as url:
            await get(url.replace("127.0.0.1", "localhost"))
        assert "cookie" not in origin.requests[1].headers


async def test_neither_a_log_line_nor_the_sentence_holds_the_signature(
    get: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(Origin(breaks_after(10, ETag='"x"'), says("500 Oops"), says("403 No"))) as url:
        with pytest.raises(FileFailed) as caught:
            await get(url.replace("http://", "http://anna:open@") + "/c.ndjson?X-Sig=secret")
    told = caplog.text + caught.value.message + repr(caught.value.__cause__)
    assert "/c.ndjson" in told
    assert "secret" not in told
    assert "open" not in told


@pytest.mark.parametrize("headers", [{}, {"ETag": '"x"'}])
async def test_a_body_that_breaks_off_is_called_a_lost_connection(
    get: Any, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    with caplog.at_level(logging.INFO):
        async with running(Origin(breaks_after(70_000, **headers), whole)) as url:
            await get(url)
    said = " ".join(caplog.messages)
    assert "the connection was lost" in said
    assert "is not HTTP" not in said


class TestLongHeaders:
    @pytest.mark.parametrize("length", [8_000, 8_200, 65_536, 200_000])
    async def test_of_a_redirect_lead_on(self, get: Any, length: int) -> None:
        origin = Origin(says("302 Over there", Location="/there?sig=" + "s" * length), whole)
        # asyncio's own server reads no longer lines than this
        async with running(origin, limit=1 << 20) as url:
            assert (await get(url)).bytes == len(CONTENT)
        assert len(origin.requests[1].target) == length + len("/there?sig=")

    @pytest.mark.parametrize("headers", [{"X_Policy": "p" * 200_000}, {f"X_{n}": "x" * 1000 for n in range(200)}])
    async def test_of_a_file_are_passed_over(self, get: Any, headers: dict[str, str]) -> None:
        async with running(Origin(says("200 OK", CONTENT, **headers))) as url:
            assert (await get(url)).bytes == len(CONTENT)

    async def test_beyond_what_browsers_take_are_named(self, get: Any) -> None:
        async with running(Origin(says("302 Over there", Location="/" + "x" * 300_000))) as url:
            with pytest.raises(FileFailed, match=r"its answer has a header of more than 262,144 bytes \(5 attempts\)"):
                await get(url)

    @pytest.mark.parametrize(
        "answer",
        [
            b"220 mail.example.com ESMTP\r\n",
            b"HTTP/1.1 twohundred OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
            bytes(100),
        ],
    )
    async def test_an_answer_that_is_not_http_is_called_so(self, get: Any, answer: bytes) -> None:
        async def odd(request: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)

        async with running(Origin(odd)) as url:
            with pytest.raises(FileFailed, match="its answer is not HTTP that can be read"):
                await get(url)
