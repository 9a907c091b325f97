"""`bench events`: events lead contacts on while very many others stand; how soon, and at what cost?"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from caravan.bench.inputs import SHAPES, Made, write_file
from caravan.bench.latency import percentile
from caravan.bench.measure import Run, Timed, in_child, now
from caravan.bench.report import circumstances, show_circumstances
from caravan.bench.system import JOURNEY, System, check_ledger, follow, send, up, workspace
from caravan.client import Client
from caravan.errors import Unavailable
from caravan.server.embedded import embedded
from caravan.store import sql

_JOURNEY = f"""
journey: {JOURNEY}
name: Bench
steps:
  - id: hold
    wait_for: {{event: purchase, if: "total - contact.ltv > 0", timeout: 30 days, then: rest, else: late}}
  - id: rest
    wait: 30 days
  - id: late
    exit: {{}}
"""
_CALLS = 10  # a second, each with its part of the events
_STRIDE = 7_919  # a prime: events come to contacts all over the cohorts
_LOOKS = 600.0  # seconds in which all must be ready to be found
YARDSTICK = "a row a contact in a PostgreSQL table with its primary key, updated by the same events in the same parts"
_Q = sql.load("caravan.bench", "bench.sql")


@dataclass(frozen=True, slots=True)
class Side:
    """One side: how long after its report each contact had moved, in seconds, and what that cost."""

    side: str
    p50: float
    p99: float
    slowest: float
    cores: dict[str, float]  # that were busy meanwhile, by what the process is

    @classmethod
    def of(cls, side: str, late: list[float], run: Run) -> "Side":
        cores = {role: run.cpu[role] / run.seconds for role in sorted(run.cpu)}
        return cls(side, percentile(late, 0.5), percentile(late, 0.99), max(late), cores)


@dataclass(frozen=True, slots=True)
class Reactions:
    """The whole benchmark."""

    rows: int
    rate: float
    events: int
    sides: list[Side]
    ready: float  # seconds from the upload until all stood and could be found
    filled: float  # seconds in which the yardstick's rows were inserted
    ledger: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """All of it. Times in seconds."""
        fields = ("side", "p50", "p99", "slowest", "cores")
        findings = [{name: getattr(each, name) for name in fields} for each in self.sides]
        told = {"findings": findings, "events": self.events, "rate": self.rate, "ledger": self.ledger, "balances": True}
        return {**circumstances("events", self.rows, YARDSTICK), "ready": self.ready, "filled": self.filled, **told}

    def show(self, console: Console) -> None:
        """Print it as a table."""
        show_circumstances(console, "events", self.rows, YARDSTICK)
        table = Table(box=SIMPLE)
        for name in ("", "p50 ms", "p99 ms", "slowest", "cores"):
            table.add_column(name, justify="left" if name in ("", "cores") else "right")
        for each in self.sides:
            times = (f"{value * 1000:,.0f}" for value in (each.p50, each.p99, each.slowest))
            table.add_row(each.side, *times, ", ".join(f"{role} {used:.2f}" for role, used in each.cores.items()))
        console.print(table)
        console.print(
            f"{self.events:,} events, {self.rate:,.0f} a second; all stood and could be found in {self.ready:.1f} s, "
            f"the yardstick's rows were inserted in {self.filled:.1f} s; all have moved, the ledger balances"
        )


def run(rows: int, rate: float, seconds: float, say: Callable[[str], None]) -> Reactions:
    """Both sides. Raises `Unbalanced` when the ledger is not what it must be, `Unavailable` if somebody stays."""
    events = min(rows, int(rate * seconds))
    with workspace() as folder:
        say(f"making {rows:,} rows")
        made = write_file(folder / "contacts.ndjson", rows, SHAPES["clean"])
        with up(folder / "data", _JOURNEY) as system, embedded(folder / "data") as url:
            say("they enter")
            begin = now()
            with system.client() as client:
                batch = send(client, made.path).batch
                follow(client, batch, ("hold",), rows, 0.2)
                _until_found(url)
                ready = now() - begin
                say(f"they stand after {ready:.1f} s; {events:,} events come")
                ours, ledger = _react(system, client, batch, made, events, rate)
        with embedded(folder / "yardstick", wait=True) as url:
            say("the yardstick")
            filled = in_child(fill, url, rows, near=folder / "yardstick")
            found = in_child(partial(react, url, rows, events, rate), near=folder / "yardstick")
    cores = {role: used / found.seconds for role, used in sorted(found.cpu.items())}
    theirs = Side("yardstick", found.facts["p50"], found.facts["p99"], found.facts["slowest"], cores)
    return Reactions(rows, rate, events, [ours, theirs], ready, filled.seconds, ledger)


def _until_found(url: str) -> None:
    """Wait until every cohort has its copy in which contacts are found."""
    deadline = time.monotonic() + _LOOKS
    with psycopg.connect(url, autocommit=True) as connection:
        while (found := connection.execute(_Q.looking).fetchone()) and found[0]:
            if time.monotonic() > deadline:
                raise Unavailable("The contacts can't be found yet.")
            time.sleep(0.1)


def _react(
    system: System, client: Client, batch: str, made: Made, events: int, rate: float
) -> tuple[Side, dict[str, Any]]:
    """Report the events; how late each contact was, by the journal."""
    reported: dict[str, float] = {}
    with system.meter() as meter:
        begin = now()
        for some in _paced(made.entered, events, rate):
            reported |= dict.fromkeys(some, time.time())
            client.send_events({"id": each, "event": "purchase", "properties": {"total": 1_000}} for each in some)
        found = follow(client, batch, ("rest",), events, 0.2)
        measured = meter.run(Timed(now() - begin))
    check_ledger(found["ledger"], made)
    moved = {each.contact: each.at for each in client.journal(batch, step="hold", outcome="passed")}
    if moved.keys() != reported.keys():
        raise Unavailable(f"{len(moved):,} contacts have moved, and not those {events:,} to whom something happened.")
    late = [moved[each].timestamp() - at for each, at in reported.items()]
    return Side.of("caravan", late, measured), found["ledger"]


def _paced(rows: int, events: int, rate: float) -> Iterator[list[str]]:
    """The contacts to whom something happens, in parts, each when its time has come."""
    part, begin = max(1, int(rate / _CALLS)), now()
    stride = _STRIDE if rows % _STRIDE else 1
    for first in range(0, events, part):
        time.sleep(max(0.0, begin + first / rate - now()))
        yield [f"c-{each * stride % rows + 1:08}" for each in range(first, min(events, first + part))]


def fill(url: str, rows: int) -> Timed:
    """The yardstick's rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        begin = now()
        connection.execute(_Q.create_listening)
        connection.execute(_Q.fill_listening, {"rows": rows})
        return Timed(now() - begin)


def react(url: str, rows: int, events: int, rate: float) -> Timed:
    """The yardstick: the rows of those to whom something happens are updated."""
    late: list[float] = []
    begin = now()
    with psycopg.connect(url, autocommit=True) as connection:
        for some in _paced(rows, events, rate):
            sent = now()
            body = json.dumps([{"id": each, "total": 1_000} for each in some])
            connection.execute(_Q.move_listening, {"events": body, "now": datetime.now(UTC)})
            late += [now() - sent] * len(some)
    facts = {"p50": percentile(late, 0.5), "p99": percentile(late, 0.99), "slowest": max(late)}
    return Timed(now() - begin, facts)
