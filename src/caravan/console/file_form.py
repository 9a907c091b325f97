"""A form that brings one file (`multipart/form-data`, RFC 7578), as a stream: for browsers without scripts, which can
send a file in no other way. The form has no other field."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message

from starlette.requests import Request

from caravan.errors import InvalidInput

_TYPE = "multipart/form-data"
_FILE_NAME = re.compile(rb'filename="([^"\r\n]+)"', re.IGNORECASE)
_LARGEST_HEAD = 16 << 10  # bytes of what stands before the file
_NO_FORM = "The form can't be read; open the page and send it again."


def is_file_form(request: Request) -> bool:
    """Whether the call is such a form."""
    return _header(request).get_content_type() == _TYPE


@dataclass(frozen=True, slots=True)
class FormFile:
    """The file of a form: the name that it has at the reader's, and its content as it comes. The content raises
    `InvalidInput` where the form breaks off."""

    name: str
    content: AsyncIterator[bytes]


async def file_of(request: Request, body: AsyncIterator[bytes]) -> FormFile:
    """The file in a form with this body. Raises `InvalidInput` where none was chosen, and for what is no such form."""
    mark = str(_header(request).get_param("boundary", "")).encode()
    head, piece = await _head(body)
    if not mark or not head.startswith(b"--" + mark):
        raise InvalidInput(_NO_FORM)
    found = _FILE_NAME.search(head)
    if found is None:
        raise InvalidInput("No file was chosen; choose one and send the form again.")
    return FormFile(found[1].decode("utf-8", "replace"), _content(mark, piece, body))


async def _content(mark: bytes, piece: bytes, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    end = b"\r\n--" + mark
    while (at := piece.find(end)) < 0:
        kept = max(0, len(piece) - len(end) + 1)  # what may be the beginning of the end
        yield piece[:kept]
        piece = piece[kept:] + await _more(body)
    yield piece[:at]
    async for _ in body:  # what stands behind it
        pass


async def _head(body: AsyncIterator[bytes]) -> tuple[bytes, bytes]:
    """The headers of the first part, and what has come of its content with them."""
    found = b""
    while b"\r\n\r\n" not in found:
        if len(found) > _LARGEST_HEAD:
            raise InvalidInput(_NO_FORM)
        found += await _more(body)
    head, _, content = found.partition(b"\r\n\r\n")
    return head, content


async def _more(body: AsyncIterator[bytes]) -> bytes:
    try:
        return await anext(body)
    except StopAsyncIteration:
        raise InvalidInput("The form broke off before the end of the file; send it again.") from None


def _header(request: Request) -> Message:
    header = Message()
    header["Content-Type"] = request.headers.get("content-type", "")
    return header
