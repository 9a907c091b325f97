"""Children that are copies of this process, for which all that they need has been imported already.

Memory that parent and children don't write to is theirs together, and a child is there at once: imports are some 70 MiB
and more than a second of work for each process that makes them itself. Linux only: elsewhere libraries that systems
ship do not survive a fork.
"""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NoReturn, Protocol

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
_LOOK = 0.02  # seconds between two looks whether a child has ended
_LINUX = sys.platform == "linux"


class Process(Protocol):
    """A child: a `subprocess.Popen` or a fork."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """What it ended with (a signal is negative), None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The same, once it has ended. Raises `subprocess.TimeoutExpired`."""

    def send_signal(self, sig: int) -> None:
        """Signal it, if it runs."""

    def kill(self) -> None:
        """End it at once."""


class Forked:
    """A child that was forked, with the methods of `subprocess.Popen`."""

    def __init__(self, pid: int, arguments: list[str]) -> None:
        self.pid, self._arguments = pid, arguments
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                assert timeout is not None
                raise subprocess.TimeoutExpired(self._arguments, timeout)
            time.sleep(_LOOK)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:  # else its number may be another's by now
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def is_safe() -> bool:
    """Whether this process may fork. A copy has only the thread that forked: what others had locked stays locked."""
    return _LINUX and threading.active_count() == 1


def preload() -> None:
    """Import what the children need; they share it with this process."""
    if not _LINUX:
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's; nothing here multiplies matrices
    gc.disable()  # it would look ten times at all that is imported, of which nothing goes away
    import uvicorn  # noqa: F401

    import caravan.api.app
    import caravan.server.serving  # noqa: F401

    gc.enable()
    gc.collect()
    gc.freeze()  # a child's garbage collector would write to all that it looks at, and so copy it


def unload() -> None:
    """There will be no more children."""
    gc.unfreeze()


def fork(arguments: list[str], environment: Mapping[str, str], fds: Collection[int]) -> Forked:
    """Start `caravan` with these arguments as a copy of this process. Of its open files it keeps only `fds`."""
    sys.stdout.flush()
    sys.stderr.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        if pid := os.fork():
            return Forked(pid, arguments)
        _be_a_child(arguments, environment, fds, before)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _be_a_child(
    arguments: list[str], environment: Mapping[str, str], fds: Collection[int], mask: Collection[int]
) -> NoReturn:
    code = 1
    try:
        _start_anew(arguments, environment, fds)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = _run()
    except BaseException:
        traceback.print_exc()
    finally:
        _end(code)


def _start_anew(arguments: list[str], environment: Mapping[str, str], fds: Collection[int]) -> None:
    """Be as if this was a process of its own. Files of the parent, whose locks and pipes must be its alone, become
    `/dev/null`: what still has their numbers can do no harm with them."""
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in [int(each.name) for each in Path("/proc/self/fd").iterdir()]:
        if fd not in (1, 2, nowhere, *fds):
            os.dup2(nowhere, fd, inheritable=False)
    os.environ.update(environment)
    sys.argv = ["caravan", *arguments]
    _be_named(" ".join([sys.executable, "-m", "caravan", *arguments]))


def _be_named(title: str) -> None:
    """What `ps` shows. It stands where the parent's command line stood, of which nothing may be left behind it: neither
    its words nor zeros, which programs take for empty arguments."""
    from setproctitle import setproctitle  # here: the plain install has it not

    setproctitle(title.ljust(len(Path("/proc/self/cmdline").read_bytes()) - 1))


def _run() -> int:
    from caravan.cli import main

    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _end(code: int) -> NoReturn:
    """End without what the parent wanted done at its own end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            continue
    os._exit(code)
