"""Caravan from outside: the command `caravan` in processes of its own, spoken to over HTTP."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import psutil
import pytest

from caravan.channels.sandbox import Sandbox
from caravan.client import Client

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@dataclass(slots=True)
class Up:
    """A running `caravan up`."""

    process: "subprocess.Popen[str]"
    told: dict[str, str]
    folder: Path
    said: list[str] = field(default_factory=list)
    password: str | None = None  # of the first user, once it has chosen one

    @property
    def url(self) -> str:
        return self.told["at"]

    def client(self, told: dict[str, str] | None = None) -> Client:
        told = told or self.told
        return Client(self.url, int(told["customer"]), told["token"])

    def family(self) -> list[psutil.Process]:
        """The process, its children, and the PostgreSQL and guardian of its folder."""
        mine = psutil.Process(self.process.pid)
        others = [
            each
            for each in psutil.process_iter(["cmdline"])
            if any(str(self.folder) in word for word in each.info["cmdline"] or []) and each.pid != os.getpid()
        ]
        backends = [child for each in others for child in _children(each)]
        return [mine, *_children(mine), *others, *backends]

    def kill_9(self) -> None:
        """Everything, at once."""
        for each in self.family():
            try:
                each.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def environment(folder: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CARAVAN_")}
    return {**kept, "CARAVAN_DATA": str(folder), **{f"CARAVAN_{k}": v for k, v in settings.items()}}


def caravan(folder: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    command = [sys.executable, "-m", "caravan", *arguments]
    return subprocess.run(command, env=environment(folder, **settings), capture_output=True, text=True, timeout=120)


@contextmanager
def up(folder: Path, *, before: Sequence[str] = (), log: IO[str] | None = None, **settings: str) -> Iterator[Up]:
    """`caravan up` on a free port, until the end of the block; `before` is what its command line begins with."""
    command = [*before, sys.executable, "-m", "caravan", "up", "--port", "0"]
    with subprocess.Popen(
        command, env=environment(folder, **settings), stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
    ) as process:
        running = Up(process, {}, folder)
        try:
            _listen(running)
            yield running
        finally:
            if process.poll() is None:
                running.stop()


def _listen(running: Up) -> None:
    assert running.process.stdout is not None
    for line in running.process.stdout:
        running.said.append(line)
        name, _, value = line.strip().partition(": ")
        running.told[name] = value
        if line.startswith("Caravan is up at "):
            running.told["at"] = line.split()[-1]
        if line.startswith("Ctrl-C"):
            return
    raise AssertionError(f"caravan up ended: {running.said}")


def until(look: Callable[[], Any], seconds: float = 180, pause: float = 0.1) -> Any:
    """What `look` returns, once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(pause)
    return found


class BackgroundSandbox:
    """The mail sandbox on a thread of its own, so that tests may block."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(60)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with Sandbox() as self.sandbox:
            self._ready.set()
            await self._stop.wait()

    @property
    def url(self) -> str:
        return self.sandbox.url

    @property
    def recipients(self) -> list[str]:
        return [address for mail in list(self.sandbox.mails) for address in mail.recipients]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


@pytest.fixture
def mails() -> Iterator[BackgroundSandbox]:
    sandbox = BackgroundSandbox()
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A real browser for the tests of a module, each with windows of its own; where there is none, they are skipped. It
    ends with the module: while Playwright runs, no other test of this process can run an event loop."""
    from tests.acceptance.browsing import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def console(browser: "Browser", shared_folder: Path) -> Iterator[Up]:
    """A running system for the tests of a module, which leave batches and versions of journeys behind."""
    with up(shared_folder) as running:
        yield running
