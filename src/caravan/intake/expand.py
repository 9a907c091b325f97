"""Files that arrive compressed are expanded to disk, as a stream, up to a limit."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import pyarrow as pa

from caravan.errors import FileFailed, FileFailure

CHUNK = 1 << 20
SKIPPABLE = b"\x2a\x4d\x18"  # behind 0x50 to 0x5f: a zstd frame without contents (RFC 8878 §3.1.2)


class Encoding(StrEnum):
    """How a file of contacts is compressed; the names are those of HTTP (RFC 9110 §8.4.1, RFC 8878 §7.2)."""

    IDENTITY = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"


_MAGIC = {Encoding.GZIP: b"\x1f\x8b", Encoding.ZSTD: b"\x28\xb5\x2f\xfd"}


def expand(
    source: Path,
    folder: Path,
    encoding: Encoding | None,
    limit: int,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """The file with its contents as they are: `source` itself, or a new file in `folder` with at most `limit` bytes.

    Without a header (`encoding` None or identity) the first bytes tell. Several gzip members or zstd frames in a row
    are one file (RFC 1952 §2.2, RFC 8878 §3.1). Raises `FileFailed`: `unreadable` when the file is damaged, cut off
    or not what the header says, `too_large` beyond the limit. `progress` hears bytes read and bytes there are, and
    may raise.
    """
    found = _recognise(source)
    if encoding not in (None, Encoding.IDENTITY, found):
        raise FileFailed(FileFailure.UNREADABLE, f"The file was sent as {encoding}, but it is not {encoding}.")
    if found is Encoding.IDENTITY:
        return source
    target = folder / "expanded"
    try:
        _expand(source, target, found, limit, progress)
    except OSError as error:
        if error.errno:  # the disk's own trouble, like no space left
            raise
        message = f"The {found} file is damaged or cut off; send it again."
        raise FileFailed(FileFailure.UNREADABLE, message) from error
    return target


def _recognise(source: Path) -> Encoding:
    with source.open("rb") as file:
        head = file.read(4)
    if head[1:] == SKIPPABLE and 0x50 <= head[0] <= 0x5F:
        return Encoding.ZSTD
    return next((each for each, magic in _MAGIC.items() if head.startswith(magic)), Encoding.IDENTITY)


def _expand(
    source: Path, target: Path, encoding: Encoding, limit: int, progress: Callable[[int, int], None] | None
) -> None:
    size, written = source.stat().st_size, 0
    with pa.OSFile(str(source)) as packed, target.open("wb") as out:
        stream = pa.CompressedInputStream(packed, encoding.value)
        while chunk := stream.read(CHUNK):
            written += len(chunk)
            if written > limit:
                message = f"The file is larger than {limit} bytes once it is expanded; send it in parts."
                raise FileFailed(FileFailure.TOO_LARGE, message)
            out.write(chunk)
            if progress:
                progress(min(packed.tell(), size), size)
