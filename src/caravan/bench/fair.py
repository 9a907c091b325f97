"""`bench fair`: singles and small files that come while a large batch is being sent: when their first mail leaves, and
what calls take meanwhile; beside the same on an idle system. And how two large batches share the rate."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from caravan.bench.inputs import Made, contact
from caravan.bench.latency import percentile
from caravan.bench.letter import letter
from caravan.bench.load import load
from caravan.bench.report import circumstances, show_circumstances
from caravan.bench.sinks import Seen, watched_sink
from caravan.bench.system import JOURNEY, System, check_ledger, follow, send, up, workspace
from caravan.client import Client
from caravan.errors import Unavailable

YARDSTICK = "the same on the same installation, with nothing else to do"
_OCTETS, _SMALL_ROWS, _CHUNK = 2_000, 200, 10_000
_PATIENCE = 600.0  # seconds
_LOOK = 0.02  # seconds between two looks into the sink
SINGLE, OTHERS_SINGLE, SMALL = "a single's mail", "another customer's single's mail", "a small file's first mail"


@dataclass(frozen=True, slots=True)
class Wait:
    """How long something took, in seconds."""

    what: str
    seconds: list[float]

    def as_json(self) -> dict[str, Any]:
        p50, p99 = (percentile(self.seconds, share) for share in (0.5, 0.99))
        return {"what": self.what, "times": len(self.seconds), "p50": p50, "p99": p99, "slowest": max(self.seconds)}


@dataclass(frozen=True, slots=True)
class Fairness:
    """The whole benchmark."""

    rows: int
    phases: dict[str, list[Wait]]
    share: float  # of the mails that left while two large batches were sent, the second one's
    ledgers: list[dict[str, Any]]  # of the large batches; they were checked

    def as_json(self) -> dict[str, Any]:
        """All of it. Times in seconds."""
        findings = [
            {"phase": phase, **wait.as_json()} for phase, waits in self.phases.items() for wait in waits if wait.seconds
        ]
        return {
            **circumstances("fair", self.rows, YARDSTICK),
            "findings": findings,
            "share_of_second": self.share,
            "ledgers": self.ledgers,
            "balances": True,
        }

    def show(self, console: Console) -> None:
        """Print it as a table."""
        show_circumstances(console, "fair", self.rows, YARDSTICK)
        table = Table(box=SIMPLE)
        for name in ("", "until", "times", "p50 ms", "p99 ms", "slowest"):
            table.add_column(name, justify="left" if name in ("", "until") else "right", no_wrap=True)
        for each in self.as_json()["findings"]:
            times = (f"{each[name] * 1000:,.0f}" for name in ("p50", "p99", "slowest"))
            table.add_row(each["phase"], each["what"], f"{each['times']:,}", *times)
        console.print(table)
        console.print(f"of two large batches, the second has {self.share:.0%} of the rate; the ledgers balance")


@dataclass(slots=True)
class _Bench:
    """What all phases need."""

    folder: Path
    mine: System
    other: System  # the same installation, another customer
    look: Callable[[], Seen]
    caller: ProcessPoolExecutor
    count: int = 0

    def first_mail(self, tag: str, since: float) -> float:
        """How long after `since` the first mail with this tag came."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if (at := self.look().first.get(tag)) is not None:
                return max(0.0, at - since)
            time.sleep(_LOOK)
        raise Unavailable(f"No mail of {tag} came within {_PATIENCE:.0f} seconds.")

    def single(self, system: System) -> float:
        """Seconds between a single's 202 and its mail."""
        self.count += 1
        tag = f"single{self.count}"
        with system.client() as client:
            client.commence(JOURNEY, tag, _properties(tag, 0))
        return self.first_mail(tag, time.time())

    def small_file(self) -> float:
        """Seconds between the last byte of a small file and its first mail."""
        self.count += 1
        tag = f"small{self.count}"
        with self.mine.client() as client:
            sent = send(client, write(self.folder, tag, _SMALL_ROWS).path)
        return self.first_mail(tag, sent.last_byte)

    def probe(self, times: int, go_on: Callable[[], bool]) -> list[Wait]:
        """Singles and small files in turn; what took place after `go_on` says no does not count."""
        waits = [Wait(what, []) for what in (SINGLE, OTHERS_SINGLE, SMALL)]
        acts: tuple[Callable[[], float], ...] = (
            lambda: self.single(self.mine),
            lambda: self.single(self.other),
            self.small_file,
        )
        for _ in range(times):
            for wait, act in zip(waits, acts, strict=True):
                seconds = act()
                if not go_on():
                    return waits
                wait.seconds.append(seconds)
        return waits


def run(rows: int, probes: int, say: Callable[[str], None]) -> Fairness:
    """Idle, beside one large batch, and two large ones. Raises `Unbalanced` when a ledger is not what it must be."""
    with workspace() as folder, watched_sink() as (port, look):
        say(f"making {rows:,} rows")
        files = {
            tag: write(folder, tag, size) for tag, size in (("large", rows), ("one", rows // 2), ("two", rows // 2))
        }
        with (
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as caller,
            up(folder / "data", letter(_OCTETS).journey(), smtp_url=f"smtp://127.0.0.1:{port}") as system,
            _other_customer(system) as other,
        ):
            bench = _Bench(folder, system, other, look, caller)
            bench.probe(2, lambda: True)
            say("idle")
            phases = {"idle": _with_calls(bench, probes, lambda: True)}
            say("while a large batch is sent")
            phases["busy"], ledger = _busy(bench, files["large"], probes)
            say("two large batches")
            share, ledgers = _share(bench, files["one"], files["two"])
    return Fairness(rows, phases, share, [ledger, *ledgers])


def _with_calls(bench: _Bench, probes: int, go_on: Callable[[], bool]) -> list[Wait]:
    """Probe, while others call the API."""
    with bench.mine.client() as client:
        batch = client.open_upload(JOURNEY).batch
    calling = bench.caller.submit(load, bench.mine, batch, 2.0 + probes / 4)
    waits = bench.probe(probes, go_on)
    seconds: dict[str, list[float]] = {}
    for call in calling.result():
        seconds.setdefault(call.name, []).append(call.seconds)
    return [*waits, *(Wait(name, each) for name, each in sorted(seconds.items()))]


def _busy(bench: _Bench, made: Made, probes: int) -> tuple[list[Wait], dict[str, Any]]:
    with bench.mine.client() as client:
        sent = send(client, made.path)
        bench.first_mail("large", sent.last_byte)
        waits = _with_calls(bench, probes, lambda: bench.look().counts["large"] < made.entered)
        return waits, _ended(client, sent.batch, made)


def _share(bench: _Bench, one: Made, two: Made) -> tuple[float, list[dict[str, Any]]]:
    """The part that the batch that came second had in the mails, as long as both were being sent."""
    with bench.mine.client() as client:
        first = send(client, one.path)
        bench.first_mail("one", first.last_byte)
        second = send(client, two.path)
        bench.first_mail("two", second.last_byte)
        before = after = bench.look().counts
        while after["one"] < one.entered and after["two"] < two.entered:
            time.sleep(_LOOK)
            after = bench.look().counts
        ledgers = [_ended(client, sent.batch, made) for sent, made in ((first, one), (second, two))]
    mine, other = (after[tag] - before[tag] for tag in ("two", "one"))
    return mine / max(1, mine + other), ledgers


def _ended(client: Client, batch: str, made: Made) -> dict[str, Any]:
    found = follow(client, batch, (), 0, pause=0.2)
    check_ledger(found["ledger"], made)
    ledger: dict[str, Any] = found["ledger"]
    return ledger


@contextmanager
def _other_customer(system: System) -> Iterator[System]:
    """The same installation, as another customer sees it, with the same journey."""
    customer = int(_command(system, "customers", "add", "other"))
    other = replace(system, customer=customer, token=_command(system, "tokens", "create", "--customer", str(customer)))
    with other.client() as client:
        client.publish(JOURNEY, letter(_OCTETS).journey())
    yield other


def _command(system: System, *words: str) -> str:
    command = [sys.executable, "-m", "caravan", *words]
    done = subprocess.run(command, env=dict(system.environment), capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"`caravan {' '.join(words)}` failed: {done.stderr.strip()}")
    return done.stdout.split()[-1]


def write(folder: Path, tag: str, rows: int) -> Made:
    """A file of contacts whose mails tell by their recipients where they belong."""
    made = Made(folder / f"{tag}.ndjson", lines=rows, entered=rows)
    with made.path.open("w", encoding="utf-8") as file:
        for first in range(0, rows, _CHUNK):
            numbers = range(first, min(first + _CHUNK, rows))
            lines = (json.dumps({"id": f"{tag}-{each}", "properties": _properties(tag, each)}) for each in numbers)
            file.write("\n".join(lines) + "\n")
    return made


def _properties(tag: str, number: int) -> dict[str, Any]:
    return {**contact(number), "emailAddress": f"{tag}-{number}@example.com"}
