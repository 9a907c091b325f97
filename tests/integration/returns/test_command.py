"""`caravan bounces` as a process of its own: it says where it listens, takes mail, and ends when it is told to."""

import asyncio
import os
import re
import signal
import smtplib
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.integration.returns.conftest import DOMAIN


@asynccontextmanager
async def started(database: str, folder: Path, url: str, **settings: str) -> AsyncIterator[int]:
    """The command as long as the block lasts, which it ends well: the port where it listens."""
    process = await _started(database, folder, url, **settings)
    assert process.stdout is not None and process.stderr is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        found = re.fullmatch(rf"Bounces to {DOMAIN} are taken at 127\.0\.0\.1:(\d+)\.\n", line)
        assert found is not None, line + (await process.stderr.read()).decode()
        yield int(found[1])
    finally:
        process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 15) == 0
    assert (await process.stderr.read()).decode() == ""


async def _started(database: str, folder: Path, url: str, **settings: str) -> asyncio.subprocess.Process:
    told = {"DATABASE_URL": database, "DATA": str(folder), "BOUNCE_DOMAIN": DOMAIN, "BOUNCE_URL": url, **settings}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "caravan", "bounces",
        env={**os.environ, **{f"CARAVAN_{name}": value for name, value in told.items()}},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


def _refused(port: int) -> int:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo()
        client.mail("<>")
        return client.rcpt(f"bounce-{'1' * 40}@{DOMAIN}")[0]


async def test_it_takes_mail_until_it_is_told_to_stop(database: str, folder: Path) -> None:
    async with started(database, folder, "smtp://127.0.0.1:0") as port:
        assert await asyncio.to_thread(_refused, port) == 550


async def test_a_place_that_is_taken_is_told_in_one_sentence(database: str, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"lmtp://127.0.0.1:{taken.getsockname()[1]}"
        process = await _started(database, folder, url)
        _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert said.decode().startswith(f"caravan: Can't listen at {url}: ")
