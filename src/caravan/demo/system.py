"""A real installation in a temporary folder, for the demo: `caravan up`, a mail sandbox and a file server."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from caravan.channels.sandbox import Sandbox
from caravan.errors import Unavailable

_START_SECONDS = 90


@dataclass(frozen=True, slots=True)
class System:
    """What a client has to know, and where the sandbox keeps the mails."""

    url: str
    customer: int
    token: str
    files_url: str
    mails: Path


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[System]:
    """Everything up; everything down again at the end."""
    mails, files = folder / "mails", folder / "files"
    files.mkdir()
    async with Sandbox(mails) as sandbox, _file_server(files) as files_url, _up(folder, sandbox.url) as told:
        yield System(told["at"], int(told["customer"]), told["token"], files_url, mails)


@asynccontextmanager
async def _file_server(folder: Path) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _up(folder: Path, smtp_url: str) -> AsyncIterator[dict[str, str]]:
    """`caravan up`, and what it said: at (its URL), customer, token."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CARAVAN_")}
    environment = {**kept, "CARAVAN_SMTP_URL": smtp_url, "CARAVAN_DOWNLOAD_ALLOW_PRIVATE": "true"}
    arguments = ["-m", "caravan", "up", "--data", str(folder / "data"), "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield await asyncio.wait_for(_listen(process), _START_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _listen(process: asyncio.subprocess.Process) -> dict[str, str]:
    assert process.stdout is not None
    told: dict[str, str] = {}
    async for line in process.stdout:
        words = line.decode().strip()
        if words.startswith("Caravan is up at "):
            told["at"] = words.rpartition(" ")[2]
        name, _, value = words.partition(": ")
        told[name] = value
        if "token" in told and "at" in told:
            return told
    raise Unavailable("`caravan up` ended before it was up; what it said stands above.")
