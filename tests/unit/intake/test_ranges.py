"""A download that goes on where it broke holds one version of the file, whatever the server does meanwhile."""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.intake.download import Downloaded, download
from tests.unit.intake.origin import Answer, Origin, Request, running

SIZE = 3000
OLD, NEW = b"o" * SIZE, b"n" * SIZE
CHANGED = "Mon, 23 Nov 2026 10:00:00 GMT"
LATER = "Mon, 23 Nov 2026 10:01:00 GMT"
JUST_AFTER = "Mon, 23 Nov 2026 10:00:59 GMT"


def answers(status: str, body: bytes, *headers: tuple[str, str], length: int | None = None) -> Answer:
    """An answer with just these headers, and the length that it announces."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        announced = ("Content-Length", str(len(body) if length is None else length))
        lines = [f"{name}: {value}" for name, value in (announced, *headers, ("Connection", "close"))]
        writer.write("\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body)

    return answer


def beginning(*headers: tuple[str, str]) -> Answer:
    """The first thousand bytes of the old file, then nothing."""
    return answers("200 OK", OLD[:1000], *headers, length=SIZE)


def rest(*headers: tuple[str, str], span: str | None = "bytes 1000-2999/3000", body: bytes = OLD[1000:]) -> Answer:
    return answers("206 Partial Content", body, *headers, *([("Content-Range", span)] if span else []))


async def get(*script: Answer, path: str = "/") -> tuple[bytes, Downloaded, Origin]:
    """What is stored in the end of a server whose last answer is the new file, whole; and what it was asked."""

    async def no_time(seconds: float) -> None: ...

    origin = Origin(*script, answers("200 OK", NEW))
    with TemporaryDirectory() as folder:
        target = Path(folder, "file")
        async with running(origin) as url:
            got = await download(
                url + path,
                target,
                allow_private=True,
                max_bytes=99_999,
                timeout=5,
                retry_delay=1,
                attempts=50,
                sleep=no_time,
            )
        return await asyncio.to_thread(target.read_bytes), got, origin


class TestIsResumed:
    @pytest.mark.parametrize("tag", ['"v1"', '""', '"W/x"', '"!#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~"'])
    async def test_with_the_same_strong_etag(self, tag: str) -> None:
        stored, got, origin = await get(beginning(("ETag", tag)), rest(("ETag", tag)))
        assert stored == OLD
        assert got.sha256 == hashlib.sha256(OLD).hexdigest()
        assert origin.requests[1].headers["range"] == "bytes=1000-"
        assert origin.requests[1].headers["if-range"] == tag

    async def test_with_the_same_strong_date_where_there_is_no_etag(self) -> None:
        dated = ("Accept-Ranges", "bytes"), ("Last-Modified", CHANGED), ("Date", LATER)
        stored, _, origin = await get(beginning(*dated), rest(("Last-Modified", CHANGED)))
        assert stored == OLD
        assert origin.requests[1].headers["if-range"] == CHANGED

    async def test_by_pieces_also_where_the_size_is_not_told_again(self) -> None:
        tag = ("ETag", '"v1"')
        pieces = [
            rest(tag, span=f"bytes {at}-{at + 499}/{total}", body=OLD[at : at + 500])
            for at, total in zip(range(1000, SIZE, 500), ["*", "3000", "*", "3000"], strict=True)
        ]
        stored, _, origin = await get(beginning(tag), *pieces)
        assert stored == OLD
        assert [each.headers.get("range") for each in origin.requests][-1] == "bytes=2500-"

    async def test_through_redirects_that_are_signed_anew(self) -> None:
        tag = ("ETag", '"v1"')
        hops = [answers("302 Over there", b"", ("Location", f"/store/file?sig={number}")) for number in (1, 2)]
        stored, _, origin = await get(hops[0], beginning(tag), hops[1], rest(tag))
        assert stored == OLD
        assert [each.target for each in origin.requests] == ["/", "/store/file?sig=1", "/", "/store/file?sig=2"]

    async def test_when_the_size_was_not_known_before(self) -> None:
        async def chunked(request: Request, writer: asyncio.StreamWriter) -> None:
            head = b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nTransfer-Encoding: chunked\r\n\r\n'
            writer.write(head + b"3e8\r\n" + OLD[:1000] + b"\r\n")

        stored, _, _ = await get(chunked, rest(("ETag", '"v1"')))
        assert stored == OLD


def the_rest_is_not_asked_for(origin: Origin) -> bool:
    return all("range" not in each.headers and "if-range" not in each.headers for each in origin.requests)


class TestBeginsAgain:
    @pytest.mark.parametrize(
        "headers",
        [
            [("ETag", 'W/"v1"'), ("Accept-Ranges", "bytes")],
            [("ETag", "v1"), ("Accept-Ranges", "bytes")],
            [("ETag", '"v1'), ("Accept-Ranges", "bytes")],
            [("ETag", '"v1"'), ("ETag", '"v2"')],
            [("ETag", '"v1"'), ("Accept-Ranges", "none")],
            [("ETag", 'W/"v1"'), ("Accept-Ranges", "bytes"), ("Last-Modified", CHANGED), ("Date", LATER)],
            [("Accept-Ranges", "bytes"), ("Last-Modified", CHANGED), ("Date", JUST_AFTER)],
            [("Accept-Ranges", "bytes"), ("Last-Modified", CHANGED)],
            [("Accept-Ranges", "bytes"), ("Last-Modified", LATER), ("Date", CHANGED)],
            [("Accept-Ranges", "bytes"), ("Last-Modified", "yesterday"), ("Date", LATER)],
            [("Last-Modified", CHANGED), ("Date", LATER)],
            [],
        ],
    )
    async def test_without_a_strong_validator(self, headers: list[tuple[str, str]]) -> None:
        stored, _, origin = await get(beginning(*headers))
        assert the_rest_is_not_asked_for(origin)
        assert stored == NEW

    @pytest.mark.parametrize(
        "answer",
        [
            rest(("ETag", '"v2"'), body=NEW[1000:]),
            rest(("ETag", 'W/"v1"'), body=NEW[1000:]),
            rest(("ETag", '"V1"'), body=NEW[1000:]),
            rest(("ETag", '"v1"'), ("ETag", '"v2"'), body=NEW[1000:]),
            rest(("Last-Modified", CHANGED), body=NEW[1000:]),
            rest(body=NEW[1000:]),
            rest(("ETag", '"v1"'), span="bytes 0-1999/3000", body=OLD[:2000]),
            rest(("ETag", '"v1"'), span="bytes 999-2999/3000", body=OLD[999:]),
            rest(("ETag", '"v1"'), span="bytes 1001-2999/3000", body=OLD[1001:]),
            rest(("ETag", '"v1"'), span="bytes 1000-2999/3001"),
            rest(("ETag", '"v1"'), span="bytes 1000-3000/3000"),
            rest(("ETag", '"v1"'), span="bytes 1000-2998/3000"),
            rest(("ETag", '"v1"'), span="bytes 1000-999/3000", body=b""),
            rest(("ETag", '"v1"'), span="bytes */3000"),
            rest(("ETag", '"v1"'), span="items 1000-2999/3000"),
            rest(("ETag", '"v1"'), span="bytes -2000/3000"),
            rest(("ETag", '"v1"'), span="bytes 1000-2999"),
            rest(("ETag", '"v1"'), span="1000-2999/3000"),
            rest(("ETag", '"v1"'), span=None),
            rest(("ETag", '"v1"'), ("Content-Range", "bytes 0-1999/3000")),
            rest(("ETag", '"v1"'), ("Content-Encoding", "gzip")),
            rest(("ETag", '"v1"'), ("Content-Type", "multipart/byteranges; boundary=x")),
            answers("416 Range Not Satisfiable", b"", ("Content-Range", "bytes */900")),
            answers("200 OK", NEW[1000:], ("ETag", '"v1"'), ("Content-Range", "bytes 1000-2999/3000")),
        ],
    )
    async def test_where_the_answer_is_not_certainly_the_rest(self, answer: Answer) -> None:
        stored, got, origin = await get(beginning(("ETag", '"v1"')), answer)
        assert origin.requests[1].headers["if-range"] == '"v1"'
        assert "range" not in origin.requests[2].headers
        assert stored == NEW
        assert got == Downloaded(SIZE, hashlib.sha256(NEW).hexdigest(), None)

    async def test_where_the_date_is_another(self) -> None:
        dated = ("Accept-Ranges", "bytes"), ("Last-Modified", CHANGED), ("Date", LATER)
        for later in ([("Last-Modified", LATER)], []):
            stored, _, _ = await get(beginning(*dated), rest(*later, body=NEW[1000:]))
            assert stored == NEW

    async def test_where_the_encoding_is_gone(self) -> None:
        first = beginning(("ETag", '"v1"'), ("Content-Encoding", "gzip"))
        _, got, origin = await get(first, rest(("ETag", '"v1"')))
        assert len(origin.requests) == 3
        assert got.content_encoding is None

    async def test_where_a_redirect_leads_elsewhere(self) -> None:
        tag = ("ETag", '"1"')
        hops = [answers("302 Over there", b"", ("Location", f"/mirror{number}/file")) for number in (1, 2, 3)]
        stored, _, _ = await get(hops[0], beginning(tag), hops[1], rest(tag, body=NEW[1000:]), hops[2])
        assert stored == NEW

    async def test_where_more_comes_than_was_announced(self) -> None:
        async def endless(request: Request, writer: asyncio.StreamWriter) -> None:
            head = b'HTTP/1.1 206 Partial\r\nETag: "v1"\r\nContent-Range: bytes 1000-2999/3000\r\n'
            writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + bytes(0x1000) + b"\r\n0\r\n\r\n")

        stored, _, _ = await get(beginning(("ETag", '"v1"')), endless)
        assert stored == NEW


async def test_a_complete_answer_to_a_range_request_is_the_file() -> None:
    stored, _, _ = await get(beginning(("ETag", '"v1"')), answers("200 OK", NEW, ("ETag", '"v2"')))
    assert stored == NEW


async def test_a_complete_answer_may_call_itself_the_range_of_everything() -> None:
    whole = answers("200 OK", OLD, ("Content-Range", "bytes 0-2999/3000"))
    stored, _, _ = await get(whole)
    assert stored == OLD


@dataclass(frozen=True)
class Turn:
    """What the server does with one request. What it says of the version that it sends is true; all else may not be."""

    new: bool
    tag: str  # "strong", "weak", "none"
    disregards_ranges: bool
    shift: int  # of the range that it sends, against the one that was asked for
    total: int
    cut: int  # bytes after which it breaks off

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        content = NEW if self.new else OLD
        name = '"new"' if self.new else '"old"'
        tags = {"strong": [("ETag", name)], "weak": [("ETag", f"W/{name}")], "none": []}[self.tag]
        asked = request.headers.get("range")
        start = 0
        if asked and not self.disregards_ranges:
            start = max(0, min(SIZE - 1, int(asked.removeprefix("bytes=").removesuffix("-")) + self.shift))
            tags = [*tags, ("Content-Range", f"bytes {start}-{SIZE - 1}/{self.total}")]
        status = "206 Partial Content" if asked and not self.disregards_ranges else "200 OK"
        body = content[start:]
        await answers(status, body[: self.cut], *tags, length=len(body))(request, writer)


TURNS: Any = st.builds(
    Turn,
    new=st.booleans(),
    tag=st.sampled_from(["strong", "strong", "weak", "none"]),
    disregards_ranges=st.sampled_from([False, False, False, True]),
    shift=st.sampled_from([0, 0, 0, 0, -1, 1, -SIZE]),
    total=st.sampled_from([SIZE, SIZE, SIZE, SIZE + 1]),
    cut=st.integers(0, SIZE),
)


@given(st.lists(TURNS, max_size=6))
@settings(max_examples=150, deadline=None)
def test_no_server_makes_a_mixture_of_two_versions(script: list[Turn]) -> None:
    """The file may be replaced at any moment, If-Range disregarded, ranges shifted and connections cut."""
    stored, got, _ = asyncio.run(get(*script))
    assert stored in (OLD, NEW)
    assert got.sha256 == hashlib.sha256(stored).hexdigest()
