"""`bench email`: rendered, personal, multipart mails, from a batch through a real worker to a local sink."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiosmtplib

from caravan.bench.inputs import SHAPES, Made, write_file
from caravan.bench.letter import Letter, letter
from caravan.bench.measure import Meter, Run, Shared, Timed, in_child, in_turn, now
from caravan.bench.report import Finding, Report
from caravan.bench.sinks import program, sandbox_sink, smtp_sink
from caravan.bench.system import System, check_ledger, follow, measured, send, up, workspace
from caravan.errors import Unavailable

_OCTETS = {"2kb": 2_000, "30kb": 30_000}
_ROWS = {"2kb": 20_000, "30kb": 5_000}
_WARM = 400
_SESSIONS = 10
_ADDRESS = "bench@example.com"


@dataclass(frozen=True, slots=True)
class Sink:
    """Where mails go, and which yardstick sends to it too."""

    port: int
    postfix: bool

    @property
    def yardstick(self) -> str:
        """What is compared with, in words."""
        if self.postfix:
            return f"Postfix's smtp-source -d with {_SESSIONS} sessions, the same mail each time, to the same smtp-sink"
        return f"a bare loop over aiosmtplib, {_SESSIONS} connections, the same mail each time, to the same sandbox"


def run(
    rows: int | None,
    variants: list[str],
    repeats: int,
    say: Callable[[str], None],
    workers: int = 1,
    *,
    track: bool = False,
) -> Report:
    """All sizes, by an installation of one worker, and with `workers` over 1 also by one of so many. With `track`,
    mails whose opens and clicks are tracked, by one worker beside another that tracks nothing.

    Raises `Unbalanced` when a ledger is not what it must be.
    """
    with workspace() as folder, _sink() as sink:
        findings = [
            _compare(folder, sink, name, rows or _ROWS[name], repeats, say, 1 if track else workers, track=track)
            for name in variants
        ]
    yardstick = "the same mails with nothing tracked, by an installation of the same kind" if track else sink.yardstick
    notes = ["caravan's seconds are from the batch's start, with everybody entered, to its end, as the batch says"]
    if workers > 1 and not track:
        notes.append(f"{workers} workers send one batch to the same sink, and share the cores with it and PostgreSQL")
    return Report("email", sum(each.contacts for each in findings), yardstick, findings, notes)


@contextmanager
def _sink() -> Iterator[Sink]:
    postfix = program("smtp-sink") is not None and program("smtp-source") is not None
    with smtp_sink() if postfix else sandbox_sink() as port:
        yield Sink(port, postfix)


def _compare(
    folder: Path,
    sink: Sink,
    variant: str,
    rows: int,
    repeats: int,
    say: Callable[[str], None],
    workers: int,
    *,
    track: bool,
) -> Finding:
    written = letter(_OCTETS[variant])
    say(f"{variant}: {rows:,} mails of {written.octets():,} octets")
    made = write_file(folder / f"{variant}.ndjson", rows, SHAPES["clean"])
    warm = write_file(folder / f"{variant}-warm.ndjson", _WARM, SHAPES["clean"])
    ledgers: list[dict[str, Any]] = []
    relay = f"smtp://127.0.0.1:{sink.port}"
    with ExitStack() as stack:
        warm_up, ours = (partial(deliver, step="mail", made=each, ledgers=ledgers) for each in (warm, made))

        def started(count: int, *, track: bool) -> Callable[[], Run]:
            """Sends the batch by an installation of so many workers, which is warm."""
            kind = "tracked" if track else str(count)
            home, settings = folder / f"{variant}-{kind}", {"smtp_url": relay, "workers": str(count)}
            system = stack.enter_context(up(home, written.journey(track=track), **settings))
            warm_up(system)
            return partial(ours, system)

        several = Shared(workers, started(workers, track=track)) if workers > 1 else None
        theirs = started(1, track=False) if track else partial(_theirs, sink, rows, written)
        pairs = in_turn(repeats, started(1, track=track), theirs, say, several)
    return Finding(variant, rows, written.octets(), pairs, ledgers[-1])


def deliver(system: System, step: str, made: Made, ledgers: list[dict[str, Any]]) -> Run:
    """One batch whose journey is one step that sends; its seconds are from its start to its end."""
    with system.client() as client, system.meter() as meter:
        batch = follow(client, send(client, made.path).batch, (), 0, pause=0.2)
    check_ledger(batch["ledger"], made)
    counts = batch["ledger"]["steps"][0]
    if batch["state"] != "completed" or counts["outcomes"] != {"sent": made.entered}:
        raise Unavailable(f"The sink did not take everything: the batch is {batch['state']}, {step}: {counts}.")
    ledgers.append(batch["ledger"])
    started, finished = (datetime.fromisoformat(batch[each]) for each in ("startedAt", "finishedAt"))
    return measured(meter, (finished - started).total_seconds())


def _theirs(sink: Sink, rows: int, written: Letter) -> Run:
    if sink.postfix:
        return _smtp_source(sink.port, rows, written.octets())
    return in_child(bare_loop, sink.port, rows, written.octets())


def _smtp_source(port: int, mails: int, octets: int) -> Run:
    path = program("smtp-source")
    assert path is not None
    options = [
        "-d",
        "-s",
        str(_SESSIONS),
        "-l",
        str(octets),
        "-m",
        str(mails),
        "-f",
        _ADDRESS,
        "-t",
        _ADDRESS,
    ]
    begin = now()
    process = subprocess.Popen([path, *options, f"127.0.0.1:{port}"])
    with Meter(process.pid) as meter:
        _, status, usage = os.wait4(process.pid, 0)
    seconds = now() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Unavailable(f"smtp-source ended with {process.returncode}.")
    # It is over before the meter's last look at its CPU; the kernel knows.
    return replace(meter.run(Timed(seconds)), cpu={"other": usage.ru_utime + usage.ru_stime})


def bare_loop(port: int, mails: int, octets: int) -> Timed:
    """The yardstick where Postfix is not installed."""
    return asyncio.run(_bare_loop(port, mails, octets))


async def _bare_loop(port: int, mails: int, octets: int) -> Timed:
    head = f"From: {_ADDRESS}\r\nTo: {_ADDRESS}\r\nSubject: bench\r\n\r\n".encode()
    content = head + (b"X" * 70 + b"\r\n") * ((octets - len(head)) // 72)
    left = iter(range(mails))

    async def session() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
            for _ in left:
                await client.sendmail(_ADDRESS, [_ADDRESS], content)

    begin = now()
    await asyncio.gather(*(session() for _ in range(_SESSIONS)))
    return Timed(now() - begin)
