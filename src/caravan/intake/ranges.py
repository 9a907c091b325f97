"""Going on with a file that broke off: only what is certainly the same file, byte for byte, may be put together.

The answer to a range request is put behind the bytes that are there only if it carries the strong validator of the
answer that those came from (RFC 9110 §15.3.7.3). A server that disregards If-Range, or a file that is replaced by one
of the same length meanwhile, would else make a mixture of both.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from aiohttp import ClientResponse
from yarl import URL

_STRONG: Final = re.compile(r'"[!\x23-\x7e]*"')  # RFC 9110 §8.8.3, without octets beyond ASCII
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)  # §14.4
_APART: Final = timedelta(seconds=60)  # so long before Date, a Last-Modified is strong (§8.8.2.2, RFC 7232 §2.2.2)


@dataclass(frozen=True, slots=True)
class Version:
    """What tells a file from any other that its address could answer with."""

    name: str  # the header that holds the validator: ETag or Last-Modified
    validator: str  # also the value of If-Range
    place: URL  # without its query, in which a redirect may sign each call anew
    encoding: str | None
    total: int | None  # bytes


def version_of(response: ClientResponse) -> Version | None:
    """The version that a complete answer (200) is of; None if it has no strong validator or takes no ranges.

    A date is one only if there is no ETag at all (RFC 9110 §13.1.5) and the file did not change in the minute before
    the answer, in which a second change would have had the same date.
    """
    ranges = response.headers.get("Accept-Ranges", "").lower()
    name = "ETag" if "ETag" in response.headers else "Last-Modified"
    if name == "ETag":
        strong = _STRONG.fullmatch(_only(response, name)) is not None
    else:
        strong = ranges == "bytes" and _is_strong_date(response)
    if ranges == "none" or not strong:
        return None
    place = response.url.with_query(None)
    return Version(name, _only(response, name), place, encoding_of(response), response.content_length)


def encoding_of(response: ClientResponse) -> str | None:
    """The Content-Encoding in lower case; None when the bytes are the content itself."""
    encoding = ", ".join(response.headers.getall("Content-Encoding", [])).strip().lower()
    return None if encoding in ("", "identity") else encoding


def is_part(response: ClientResponse) -> bool:
    """Whether a 200 says of itself that it is but a part, against RFC 9110 §14.4."""
    if "Content-Range" not in response.headers:
        return False
    found = _range(response)
    return found is None or found[0] != 0 or found[2] is None or found[1] + 1 != found[2]


def end_of_rest(response: ClientResponse, version: Version, start: int) -> tuple[int, int] | None:
    """Where the bytes of a 206 end that go on at byte `start` of this version, and how many bytes the whole file has.

    None if it doesn't prove to hold just those: another or no validator, another place, encoding, beginning or total
    size, or a length that contradicts its range. It may be less than all that is missing.
    """
    found = _range(response)
    if found is None or _only(response, version.name) != version.validator:
        return None
    first, last, total = found
    total = version.total if total is None else total
    if total is None or version.total not in (None, total) or not start == first <= last < total:
        return None
    if response.url.with_query(None) != version.place or encoding_of(response) != version.encoding:
        return None
    if response.content_length not in (None, last + 1 - first):
        return None
    return last + 1, total


def _range(response: ClientResponse) -> tuple[int, int, int | None] | None:
    """First byte, last byte and size, if there is one well-formed Content-Range; several parts have none."""
    found = _CONTENT_RANGE.fullmatch(_only(response, "Content-Range"))
    if not found or response.content_type == "multipart/byteranges":
        return None
    return int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3])


def _only(response: ClientResponse, name: str) -> str:
    """The value of a header that stands there once; else nothing."""
    values: list[str] = response.headers.getall(name, [])
    return values[0].strip() if len(values) == 1 else ""


def _is_strong_date(response: ClientResponse) -> bool:
    changed, answered = (_date(_only(response, name)) for name in ("Last-Modified", "Date"))
    return changed is not None and answered is not None and answered - changed >= _APART


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
