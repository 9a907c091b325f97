"""What is counted and timed during a run."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.acceptance.chaos.checks import Found

_LONG = 20.0  # seconds


class Pulse:
    """When something moved last, the longest that nothing did, and the longest from a kill to the next movement.

    Times in seconds. May be used by several threads. Tells of standstills that were long.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._seen: dict[str, object] = {}
        self._killed: float | None = None  # when the first kill was after which nothing has moved yet
        self._lock = threading.Lock()
        self.last = time.monotonic()
        self.longest = 0.0
        self.longest_after_kill = 0.0

    def look(self, name: str, seen: object) -> None:
        """`seen` of what is called `name`: has it moved?"""
        with self._lock:
            now = time.monotonic()
            self.longest = max(self.longest, now - self.last)
            if self._seen.get(name) == seen:
                return
            if now - self.last > _LONG:
                self._tell(f"           nothing had moved for {now - self.last:.1f} s when {name} did")
            self._seen[name], self.last = seen, now
            if self._killed is not None:
                self.longest_after_kill = max(self.longest_after_kill, now - self._killed)
                self._killed = None

    def kill(self) -> None:
        """Something was killed just now."""
        with self._lock:
            self._killed = self._killed or time.monotonic()

    def excuse(self) -> None:
        """Just now there is nothing that could move."""
        with self._lock:
            self.last, self._killed = time.monotonic(), None


@dataclass(slots=True)
class Figures:
    """What a run has seen. Times in seconds."""

    batches: int = 0
    direct: int = 0  # batches whose files were put into the store itself
    cancelled: int = 0
    silences: int = 0  # pauses and cancels after which was checked that nothing arrived
    found: Found = field(default_factory=Found)
    looks: int = 0
    longest_standstill: float = 0.0
    longest_after_kill: float = 0.0
    longest_orphan: float = 0.0

    def add(self, found: Found, *, direct: bool, cancelled: bool) -> None:
        self.batches += 1
        self.direct += direct
        self.cancelled += cancelled
        self.found.contacts += found.contacts
        self.found.sent += found.sent
        self.found.unknown += found.unknown
        self.found.unknown_but_received += found.unknown_but_received
        self.found.repeats += found.repeats
