"""`bench wait`: contacts fall due at the same moment; how late does each of them move on?"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg

from caravan.bench.inputs import Made, write_file
from caravan.bench.measure import Run, Timed, in_child, in_turn, now
from caravan.bench.report import Finding, Report
from caravan.bench.system import JOURNEY, System, check_ledger, follow, send, up, workspace
from caravan.server.embedded import embedded
from caravan.store import sql

_WAIT = timedelta(seconds=5)
_JOURNEY = f"""
journey: {JOURNEY}
name: Bench
steps:
  - id: hold
    wait: {_WAIT.seconds} seconds
    next: rest
  - id: rest
    wait: 1 day
"""
_WARM = 2_000
YARDSTICK = "one UPDATE that moves as many rows in a PostgreSQL table of one row a contact, fsync on, until its commit"
_Q = sql.load("caravan.bench", "bench.sql")


@dataclass(frozen=True, slots=True)
class Moved:
    """Some contacts that moved on together."""

    late: float  # seconds after they were due
    contacts: int


def run(rows: int, repeats: int, say: Callable[[str], None]) -> Report:
    """Both sides. Raises `Unbalanced` when a ledger is not what it must be."""
    with workspace() as folder:
        say(f"making {rows:,} rows")
        made, warm = write_file(folder / "contacts.ndjson", rows), write_file(folder / "warm.ndjson", _WARM)
        ledgers: list[dict[str, Any]] = []
        with (
            up(folder / "data", _JOURNEY) as system,
            embedded(folder / "data") as ours,
            embedded(folder / "yardstick", wait=True) as theirs,
        ):
            fall_due(system, ours, warm, ledgers)
            update = partial(in_child, move_rows, theirs, made.entered, near=folder / "yardstick")
            pairs = in_turn(repeats, partial(fall_due, system, ours, made, ledgers), update, say)
    finding = Finding("standard", made.entered, made.bytes, pairs, ledgers[-1])
    return Report("wait", rows, YARDSTICK, [finding], ["caravan's seconds are how late the last contact moved on"])


def fall_due(system: System, database: str, made: Made, ledgers: list[dict[str, Any]]) -> Run:
    """One batch enters and waits; its seconds are how late the last contact moved, by the journal."""
    with system.client() as client:
        sent = send(client, made.path)
        batch = follow(client, sent.batch, ("hold",), made.entered)
        with system.meter() as meter:
            batch = follow(client, sent.batch, ("rest",), made.entered, pause=0.2)
        check_ledger(batch["ledger"], made)
        ledgers.append(batch["ledger"])
        client.change(sent.batch, "cancel")
    # Everyone enters in one transaction, with one time: that of the start.
    due = datetime.fromisoformat(batch["startedAt"]) + _WAIT
    moved = _moved(database, sent.batch, due)
    assert sum(each.contacts for each in moved) == made.entered, "The journal doesn't tell of everybody."
    facts = {"the median contact is late by": median(moved), "the first": moved[0].late}
    return meter.run(Timed(moved[-1].late, facts))


def _moved(database: str, batch: str, due: datetime) -> list[Moved]:
    """In the order in which they moved."""
    with psycopg.connect(database) as connection:
        found = connection.execute(_Q.moves, {"batch": batch, "step": "hold"}).fetchall()
    return sorted((Moved((at - due).total_seconds(), size) for at, size in found), key=lambda each: each.late)


def median(moved: list[Moved]) -> float:
    """How late the contact in the middle was; `moved` is in order."""
    half = sum(each.contacts for each in moved) / 2
    passed = 0
    for each in moved:
        passed += each.contacts
        if passed >= half:
            return each.late
    return 0.0


def move_rows(url: str, rows: int) -> Timed:
    """The yardstick."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_Q.drop_waiting)
        connection.execute(_Q.create_waiting)
        connection.execute(_Q.fill_waiting, {"rows": rows})
        connection.execute(_Q.index_waiting)
        begin = now()
        connection.execute(_Q.move_waiting)
        return Timed(now() - begin)
