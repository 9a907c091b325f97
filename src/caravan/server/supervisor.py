"""Child processes that are kept running: one that ends is started again, and takes no other down."""

import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Self

from caravan.errors import Unavailable
from caravan.server.forked import Process

OPERATOR = "caravan.operator"  # the logger of what an operator is told
_STOP_SECONDS = 30.0
_RESTART_SECONDS = 1.0
_LONGEST_RESTART_SECONDS = 15.0
_STEADY_SECONDS = 30.0  # what has run for so long is started again at once


def say(sentence: str) -> None:
    """Tell the operator one thing, on stderr: in the format of the log, once that has begun."""
    operator = logging.getLogger(OPERATOR)
    if operator.handlers:
        operator.info("%s", sentence)
        return
    with suppress(OSError):  # the log may lie on a disk that is full
        print(sentence, file=sys.stderr, flush=True)


class StopSignal:
    """Whether a signal asked this process to stop. Waiting ends early when it does, or when a child ends."""

    def __init__(self) -> None:
        self.asked = False
        self._read, self._write = os.pipe()
        for end in (self._read, self._write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def wait(self, seconds: float) -> None:
        """Until a signal arrives, at most so long."""
        if select.select([self._read], [], [], seconds)[0]:
            with suppress(BlockingIOError):
                os.read(self._read, 4096)

    def close(self) -> None:
        """Let go of the pipe; the handlers stay."""
        signal.set_wakeup_fd(-1)
        os.close(self._read)
        os.close(self._write)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


class RestartBackoff:
    """When something that ends again and again is started again: after 1 s, 2 s, 4 s … up to 15 s."""

    def __init__(self) -> None:
        self._delay, self._not_before = 0.0, 0.0

    def is_time(self) -> bool:
        """Whether to start it now. Each time that this is so, the next one is further away."""
        now = time.monotonic()
        if now < self._not_before:
            return False
        if now - self._not_before > _STEADY_SECONDS:
            self._delay = 0.0
        self._delay = min(2 * self._delay or _RESTART_SECONDS, _LONGEST_RESTART_SECONDS)
        self._not_before = now + self._delay
        return True


class Child:
    """One child, known by its name, and how it is started."""

    def __init__(self, name: str, start: Callable[[], Process]) -> None:
        self.name, self._start = name, start
        self.process = start()
        self._backoff, self._told = RestartBackoff(), False

    def look(self) -> None:
        """Start it again if it has ended and it is time."""
        code = self.process.poll()
        if code is None:
            return
        if not self._told:
            say(f"caravan {self.name} {how_it_ended(code)}; it starts again")
            self._told = True
        if self._backoff.is_time():
            self._told = False
            self.process = self._start()


class Supervisor:
    """Children that are started at the beginning of the block, kept running by `look`, and stopped at its end."""

    def __init__(self, children: Iterable[tuple[str, Callable[[], Process]]]) -> None:
        self._wanted = list(children)
        self.children: list[Child] = []

    def __enter__(self) -> Self:
        try:
            for name, start in self._wanted:
                self.children.append(Child(name, start))
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def look(self) -> None:
        """Start again what has ended."""
        for child in self.children:
            child.look()

    def check(self) -> None:
        """Raise `Unavailable` if a child has ended: while everything starts, that is no accident."""
        for child in self.children:
            if (code := child.process.poll()) is not None:
                raise Unavailable(f"`caravan {child.name}` {how_it_ended(code)}; what it said stands above.")

    def _stop(self) -> None:
        for child in self.children:
            with suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for child in self.children:
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()


def how_it_ended(code: int) -> str:
    """Words for a return code; a negative one is the signal that ended the process."""
    if code >= 0:
        return f"ended with exit status {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
