"""A leash: a pipe whose other end a child watches, so that it ends when its parent does, also after a kill -9."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from caravan.server import forked
from caravan.server.forked import Process

VARIABLE = "CARAVAN_LEASH"
_GRACE = 10.0  # seconds that a child gets to end cleanly once its parent is gone


class Leash:
    """The parent's side. Children started with it end when this process does."""

    def __init__(self) -> None:
        self._watched, self._held = os.pipe()

    def __enter__(self) -> Self:
        forked.preload()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._watched)
        os.close(self._held)
        forked.unload()

    def start(self, arguments: list[str], environment: Mapping[str, str], *, fds: tuple[int, ...] = ()) -> Process:
        """Start `caravan` with these arguments as a child: a copy of this process where that is safe, else anew."""
        environment, fds = {**environment, VARIABLE: str(self._watched)}, (self._watched, *fds)
        if forked.is_safe():
            return forked.fork(arguments, environment, fds)
        return subprocess.Popen(
            [sys.executable, "-m", "caravan", *arguments],
            env={**os.environ, **environment},
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
        )


def obey() -> None:
    """The child's side: if there is a leash, end when the other end is gone."""
    if (value := os.environ.pop(VARIABLE, None)) is not None:
        threading.Thread(target=_watch, args=(int(value),), daemon=True).start()


def _watch(fd: int) -> None:
    os.read(fd, 1)  # nothing is ever written: it returns when the parent is gone
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(1)
