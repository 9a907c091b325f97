"""Traces of sends under way, so that a killed process leaves fewer contacts unknown.

Beside each window lies a small memory-mapped file with one byte a contact. What a process wrote there survives
its kill -9, since the pages belong to the kernel; it does not survive a power cut. So a trace counts only while
the machine is still in the boot that made it; without one, the whole window is unknown, by guarantee 3. It bears the
name of the window's claim, since one of another claim, which never came to take the window, says nothing of it.
"""

import mmap
from enum import IntEnum
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HEADER = 64


class Mark(IntEnum):
    """How far the send of one contact has come."""

    UNTOUCHED = 0  # certainly not received
    UNDER_WAY = 1  # may have been received
    SENT = 2
    FAILED = 3
    AGAIN = 4  # certainly not received; a temporary failure


class Trace:
    """The trace of one window, while it is being sent."""

    def __init__(self, folder: Path, claim: str, first: int, size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with _path(folder, claim, first).open("wb+") as file:
                file.write(_boot().ljust(_HEADER, b"\0") + bytes(size))  # so that the disk has room for every mark
                file.flush()
                self._map = mmap.mmap(file.fileno(), _HEADER + size)
        except OSError:
            drop_trace(folder, claim, first)
            raise

    def mark(self, index: int, mark: Mark) -> None:
        """Note how far the contact at this place of the window has come."""
        self._map[_HEADER + index] = mark

    def close(self) -> None:
        """Everything of the window is known; the file stays until that is committed."""
        self._map.close()


def read_trace(folder: Path, claim: str, first: int, size: int) -> list[Mark] | None:
    """What a trace tells of its window, one mark a contact; None if there is none that can be trusted."""
    try:
        content = _path(folder, claim, first).read_bytes()
    except FileNotFoundError:
        return None
    header, marks = content[:_HEADER].rstrip(b"\0"), content[_HEADER:]
    if not header or header != _boot() or len(marks) != size:
        return None
    return [Mark(each) for each in marks]


def drop_trace(folder: Path, claim: str, first: int) -> None:
    """Forget a trace: its window is settled."""
    _path(folder, claim, first).unlink(missing_ok=True)


def _path(folder: Path, claim: str, first: int) -> Path:
    return folder / f"{claim}-{first}"


def _boot() -> bytes:
    """What tells this boot of this machine from all others; empty where the system does not say."""
    try:
        return _BOOT_ID.read_bytes().strip()
    except OSError:
        return b""
