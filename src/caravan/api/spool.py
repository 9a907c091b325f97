"""What a call brings, kept on disk as it comes: it may be larger than the memory."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from caravan.engine.engine import Engine
from caravan.errors import TooLarge

_FLUSH: Final = 1 << 20  # bytes gathered before they are hashed and written off the event loop


@dataclass(frozen=True, slots=True)
class Spooled:
    """A file on this machine's disk."""

    path: Path
    bytes: int
    sha256: str


@asynccontextmanager
async def spooled(engine: Engine, name: str, content: AsyncIterator[bytes], what: str) -> AsyncIterator[Spooled]:
    """The content, as a file that lasts as long as the block; `name` begins the file's own. Raises `TooLarge`, with a
    sentence about `what` ("file"), for more than `CARAVAN_MAX_FILE_BYTES`."""
    engine.uploads.mkdir(parents=True, exist_ok=True)
    target = engine.uploads / f"{name}-{secrets.token_hex(4)}"
    try:
        yield await _write(content, target, engine.settings.max_file_bytes, what)
    finally:
        target.unlink(missing_ok=True)


def too_large(what: str, largest: int) -> TooLarge:
    """The error about something larger than `largest` bytes."""
    return TooLarge(
        f"The {what} is larger than the {largest:,} bytes that this server takes; send several smaller ones."
    )


async def _write(content: AsyncIterator[bytes], target: Path, largest: int, what: str) -> Spooled:
    digest, size, piece = hashlib.sha256(), 0, bytearray()
    with target.open("wb", buffering=0) as file:

        def flush(some: bytes) -> None:
            digest.update(some)
            left = memoryview(some)
            while left:  # a disk that is nearly full takes a part, and says so by nothing but the count
                left = left[file.write(left) :]

        async for chunk in content:
            size += len(chunk)
            if size > largest:
                raise too_large(what, largest)
            piece += chunk
            if len(piece) >= _FLUSH:
                await asyncio.to_thread(flush, bytes(piece))
                piece.clear()
        await asyncio.to_thread(flush, bytes(piece))
    return Spooled(target, size, digest.hexdigest())
