"""The store of files: an S3 in a process of its own, behind a gate that can be closed."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

_ROOT = Path(__file__).parents[3]
_PIECE = 1 << 16


class Gate:
    """A port that leads to another one of this machine."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self.port = 0
        self._passing: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._admit, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Nobody listens, and all connections break: also those whose request is done but not yet answered."""
        self._server.close()
        for each in self._passing:
            each.transport.abort()

    def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._passing.add(writer)
        task = asyncio.create_task(self._pass(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._behind)
            ends.add(there_writer)
            self._passing |= ends
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        except asyncio.CancelledError:  # all is over
            pass
        finally:
            self._passing -= ends
            for each in ends:
                each.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes until one side ends, then end the other."""
    with suppress(ConnectionError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


class Store:
    """Keeps what it was given whatever happens: nothing kills it. Running inside `with`; its gate is for the caller to
    open."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.s3"],
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        self._bucket, self.gate = str(told["bucket"]), Gate(int(told["port"]))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.communicate(timeout=30)

    @property
    def settings(self) -> dict[str, str]:
        """What tells Caravan of it."""
        return {
            "FILES_URL": f"s3://{self._bucket}/chaos",
            "FILES_ENDPOINT_URL": f"http://127.0.0.1:{self.gate.port}",
        }

    def behave(self, **mood: Any) -> Callable[[], object]:
        """Answer in a mood of tests/s3.py; what is returned makes it well again."""
        self._tell(mood)
        return partial(self._tell, {})

    def freeze(self) -> Callable[[], object]:
        """Stand still with all requests in hand; what is returned lets it do them, also those nobody waits for now."""
        self._process.send_signal(signal.SIGSTOP)
        return partial(self._process.send_signal, signal.SIGCONT)

    def _tell(self, mood: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(mood)}\n")
        self._process.stdin.flush()
