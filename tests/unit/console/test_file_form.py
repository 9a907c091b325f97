"""The file of a form, taken out of the stream however it is cut."""

from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request

from caravan.console.file_form import file_of, is_file_form
from caravan.errors import InvalidInput

MARK = "----x7"
HEAD = b'Content-Disposition: form-data; name="file"; filename="contacts.ndjson"\r\nContent-Type: text/plain\r\n\r\n'


def request(kind: str = f"multipart/form-data; boundary={MARK}") -> Request:
    return Request({"type": "http", "headers": [(b"content-type", kind.encode())]})


def form(content: bytes, head: bytes = HEAD) -> bytes:
    return b"--" + MARK.encode() + b"\r\n" + head + content + b"\r\n--" + MARK.encode() + b"--\r\n"


async def cut(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def read(body: bytes, size: int = 1 << 16) -> bytes:
    file = await file_of(request(), cut(body, size))
    assert file.name == "contacts.ndjson"
    return b"".join([piece async for piece in file.content])


@pytest.mark.parametrize(
    "content", [b"", b"{}\n", b"\r\n--", b"\r\n------x", b"a\r\n----x6\r\n--\r\n\r\n", bytes(range(256)) * 9]
)
async def test_the_file_comes_out_as_it_was_wherever_the_stream_is_cut(content: bytes) -> None:
    body = form(content)
    assert {await read(body, size) for size in range(1, len(MARK) * 3)} == {content}


async def test_no_more_than_a_piece_is_kept() -> None:
    content = b"x" * 1_000_000
    file = await file_of(request(), cut(form(content), 1_000))
    longest = max([len(piece) async for piece in file.content])
    assert longest <= 1_000 + len(MARK) + 4


@pytest.mark.parametrize(
    "head", [HEAD.replace(b"contacts.ndjson", b""), b'Content-Disposition: form-data; name="a"\r\n\r\n']
)
async def test_a_form_without_a_file_is_told_so(head: bytes) -> None:
    with pytest.raises(InvalidInput, match="No file was chosen"):
        await read(form(b"", head))


async def test_a_form_that_breaks_off_is_no_file() -> None:
    with pytest.raises(InvalidInput, match="broke off"):
        await read(form(b"some rows")[:-12])
    with pytest.raises(InvalidInput, match="broke off"):
        await read(b"")


@pytest.mark.parametrize("body", [b"--another\r\n" + HEAD, b"x" * 100_000, b"\r\n\r\n"])
async def test_what_is_no_such_form_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="can't be read"):
        await read(body)


async def test_a_form_without_a_boundary_is_refused() -> None:
    with pytest.raises(InvalidInput, match="can't be read"):
        await file_of(request("multipart/form-data"), cut(form(b""), 9))


def test_other_forms_bring_no_file() -> None:
    assert is_file_form(request())
    assert not is_file_form(request("application/x-www-form-urlencoded"))
    assert not is_file_form(request(""))
