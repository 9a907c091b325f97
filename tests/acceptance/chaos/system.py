"""The system that things happen to: `caravan up`, or `serve` and workers that share PostgreSQL and a store of files."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import psutil

from caravan.errors import Unavailable
from caravan.server.embedded import embedded, lives, revive
from tests.acceptance.conftest import caravan, environment
from tests.s3 import CREDENTIALS

_READY_SECONDS = 60


class System:
    """Processes that can be killed, and are started again by `keep`. `uploads` says for each start of a process where
    clients are to put their files: "api" or "direct"."""

    def __init__(self, folder: Path, port: int, settings: dict[str, str], uploads: Iterator[str]) -> None:
        self.folder, self.url = folder, f"http://127.0.0.1:{port}"
        self.customer, self.token = 0, ""
        self._port, self._settings, self._uploads = port, settings, uploads
        self._not_before = 0.0
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "logs").mkdir(parents=True)

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        """Stop everything in good order."""
        for each in self._running.values():
            each.send_signal(signal.SIGTERM)
        for each in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                each.wait(60)
            each.kill()
            each.wait()

    def workers(self) -> list[int]:
        """The process ids of the workers that are there."""
        raise NotImplementedError

    def api(self) -> list[int]:
        """The process id of the API, if it is there."""
        raise NotImplementedError

    def everything(self) -> list[int]:
        """All processes, but for those that PostgreSQL ends itself."""
        return [*(each.pid for each in self._running.values()), *self.workers(), *self.api(), *self.postmaster()]

    def postmaster(self) -> list[int]:
        """The process id of PostgreSQL, if it is there."""
        with suppress(OSError, ValueError, IndexError):
            return [int((self.folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])]
        return []

    def postgres_lives(self) -> bool:
        """Whether PostgreSQL is there."""
        return any(map(psutil.pid_exists, self.postmaster()))

    def leave(self, seconds: float) -> None:
        """Start nothing again for so long."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    def keep(self) -> None:
        """Start again what is gone."""
        if time.monotonic() < self._not_before:
            return
        self._keep_postgres()
        for name, each in self._running.items():
            if each.poll() is not None:
                self._start(name)

    def _keep_postgres(self) -> None:
        raise NotImplementedError

    def _start(self, name: str) -> None:
        command = [sys.executable, "-m", "caravan", *self._arguments(name)]
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            settings = {**self._settings, "UPLOADS": next(self._uploads)}
            surroundings = {**environment(self._data(name), **settings), **CREDENTIALS}
            self._running[name] = subprocess.Popen(command, env=surroundings, stdout=log, stderr=log)

    def _arguments(self, name: str) -> list[str]:
        raise NotImplementedError

    def _data(self, name: str) -> Path:
        return self.folder


class Up(System):
    """`caravan up` on its data folder."""

    def __enter__(self) -> Self:
        self._start("up")
        told = self._told()
        self.customer, self.token = int(told["customer"]), told["token"]
        return self

    def _told(self) -> dict[str, str]:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            lines = (self.folder / "logs" / "up.log").read_text().splitlines()
            told = {name: value for name, _, value in (line.partition(": ") for line in lines)}
            if "token" in told and any(line.startswith("Ctrl-C") for line in lines):
                return told
            time.sleep(0.05)
        raise Unavailable("caravan up did not start.")

    def workers(self) -> list[int]:
        return self._children("worker")

    def api(self) -> list[int]:
        return self._children("serve")

    def _children(self, command: str) -> list[int]:
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._running["up"].pid).children()
            return [each.pid for each in children if command in each.cmdline()]
        return []

    def _keep_postgres(self) -> None:
        pass  # `up` does

    def _arguments(self, name: str) -> list[str]:
        return ["up", "--port", str(self._port)]


class Apart(System):
    """`caravan serve` and some `caravan worker`, each with a data folder of its own, as on machines of their own."""

    def __init__(self, folder: Path, port: int, settings: dict[str, str], uploads: Iterator[str], workers: int) -> None:
        super().__init__(folder, port, settings, uploads)
        self._workers = [f"worker-{number}" for number in range(workers)]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        url = self._stack.enter_context(embedded(self.folder, wait=True))
        self._settings = {"FILES_URL": str(self.folder / "store"), **self._settings, "DATABASE_URL": url}
        self._tell("migrate")
        self.customer = int(self._tell("customers", "add", "chaos"))
        self.token = self._tell("tokens", "create", "--customer", str(self.customer))
        for name in ("api", *self._workers):
            self._start(name)
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        if not lives(self.folder):
            revive(self.folder)
        self._stack.close()

    @property
    def database_url(self) -> str:
        """For looks behind the scenes."""
        return self._settings["DATABASE_URL"]

    def workers(self) -> list[int]:
        return [self._running[name].pid for name in self._workers if self._running[name].poll() is None]

    def api(self) -> list[int]:
        return [self._running["api"].pid] if self._running["api"].poll() is None else []

    def _keep_postgres(self) -> None:
        if not lives(self.folder):
            with suppress(Unavailable):
                revive(self.folder)

    def _arguments(self, name: str) -> list[str]:
        return ["serve", "--port", str(self._port)] if name == "api" else ["worker", "--workers", "1"]

    def _data(self, name: str) -> Path:
        return self.folder / name

    def _tell(self, *arguments: str) -> str:
        done = caravan(self.folder / "command", *arguments, **self._settings)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def send(pids: list[int], number: int) -> int:
    """Send a signal to those of these processes that are there; how many were."""
    reached = 0
    for pid in set(pids):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            reached += 1
    return reached
