"""How requests go out to an S3, with an end to each of them.

aiohttp counts the seconds that a store may be silent only once a request is away. A file's never is where the store
takes the connection and does not say the `100 Continue` that botocore asks for, or takes no more of the bytes.
"""

import asyncio
from typing import Any

from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import ReadTimeoutError

_ANSWER = 25  # seconds to connect and to be answered, beside what the bytes take
_SLOWEST = 128 << 10  # bytes a second of all requests together that are under way when one begins
_WITHIN = 3600  # seconds for what a store does by itself, like a copy of 5 GiB


class BoundedSession(AIOHTTPSession):  # type: ignore[misc]  # it ships no type information
    """Gives up a request that takes too long; botocore then tries it again, as after any silence. What is read of an
    object is no part of that: the silence between two pieces of an answer is counted."""

    _under_way = 0  # bytes that share one line

    async def send(self, request: Any) -> Any:
        size = _size(request)
        self._under_way += size or 0
        try:
            async with asyncio.timeout(_WITHIN if size is None else _ANSWER + self._under_way / _SLOWEST):
                return await super().send(request)
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
        finally:
            self._under_way -= size or 0


def _size(request: Any) -> int | None:
    """The bytes of a file that a request carries. None for one that asks the store to do something by itself: one that
    copies, or puts parts together, begins to answer at once and says spaces while it works."""
    headers = request.headers
    if request.method != "PUT" or "x-amz-copy-source" in headers:
        return None
    return int(headers.get("Content-Length") or 0)
