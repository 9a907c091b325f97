"""`bench wait --spread`: each contact waits until a moment of its own; beside a plain wait of all of them."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from caravan.bench.inputs import Made, contact
from caravan.bench.measure import Run, Timed, in_turn
from caravan.bench.report import Finding, Report
from caravan.bench.system import JOURNEY, System, check_ledger, follow, measured, send, up, workspace
from caravan.server.embedded import embedded
from caravan.store import sql

_JOURNEY = """
journey: {number}
name: Bench
steps:
  - id: hold
    wait: {wait}
    next: rest
  - id: rest
    wait: 3000 days
"""
_YEAR = 365 * 86_400.0
_LEAVING = 60.0  # seconds in which a part of them leaves, one by one
_SOON = 20.0  # seconds from now, when the first of these leaves
_WARM = 2_000
_PART = 50  # of so many contacts, one is among those whose leaving is looked at
YARDSTICK = "the same file into `wait: 365 days`, by the same product"
_Q = sql.load("caravan.bench", "bench.sql")


def run(rows: int, repeats: int, say: Callable[[str], None]) -> Report:
    """Both sides. Raises `Unbalanced` when a ledger is not what it must be."""
    with workspace() as folder:
        say(f"making {rows:,} rows")
        now = datetime.now(UTC)
        made = write_moments(folder / "year.ndjson", rows, now + timedelta(days=2), _YEAR)
        warm = write_moments(folder / "warm.ndjson", _WARM, now + timedelta(days=2), _YEAR)
        ledgers: list[dict[str, Any]] = []
        until = _JOURNEY.format(number=JOURNEY, wait='{until: "{{ renewal }}"}')
        plain = _JOURNEY.format(number=JOURNEY, wait="365 days")
        with (
            up(folder / "until", until) as ours,
            embedded(folder / "until") as database,
            up(folder / "plain", plain) as theirs,
        ):
            stand(ours, warm, ledgers, database)
            stand(theirs, warm, ledgers)
            mine, other = partial(stand, ours, made, ledgers, database), partial(stand, theirs, made, ledgers)
            pairs = in_turn(repeats, mine, other, say)
            say(f"{max(rows // _PART, 1):,} of them leave in {_LEAVING:g} s")
            notes = leave(ours, folder / "soon.ndjson", max(rows // _PART, 1))
    finding = Finding(f"{rows:,} moments in a year", made.entered, made.bytes, pairs, ledgers[-1])
    ours_cpu, theirs_cpu = (sum(sum(each.cpu.values()) for each in side) for side in (pairs.ours, pairs.theirs))
    notes.append(f"{[each.facts.pop('cohorts') for each in pairs.ours][-1]:,.0f} cohorts stand")
    notes.append(f"processor: {ours_cpu / theirs_cpu:.2f} times that of the plain wait")
    return Report("wait --spread", rows, YARDSTICK, [finding], notes)


def write_moments(path: Path, rows: int, first: datetime, seconds: float) -> Made:
    """Contacts, each with another `renewal`, evenly from the first on and in no order."""
    made = Made(path, lines=rows, entered=rows)
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            place = number * 7_919 % rows if rows % 7_919 else number
            moment = first + timedelta(seconds=place * seconds / rows)
            properties = contact(number + 1) | {"renewal": moment.isoformat(timespec="milliseconds")}
            file.write(json.dumps({"id": f"c-{number:08}", "properties": properties}, ensure_ascii=False) + "\n")
    made.bytes = path.stat().st_size
    return made


def stand(system: System, made: Made, ledgers: list[dict[str, Any]], database: str | None = None) -> Run:
    """One batch, until everyone stands with the moment found."""
    with system.client() as client:
        with system.meter() as meter:
            sent = send(client, made.path)
            batch = follow(client, sent.batch, ("hold",), made.entered)
            while database is not None and _cohorts(database, sent.batch)[0]:
                time.sleep(0.05)
            end = time.time()
        cohorts = _cohorts(database, sent.batch)[1] if database is not None else 0
        check_ledger(batch["ledger"], made)
        ledgers.append(batch["ledger"])
        client.change(sent.batch, "cancel")
    return measured(meter, end - sent.last_byte, {"cohorts": cohorts} if cohorts else None)


def _cohorts(database: str, batch: str) -> tuple[int, int]:
    """How many stand whose moments are still to be found, and how many of all."""
    with psycopg.connect(database) as connection:
        found = connection.execute(_Q.moments, {"batch": batch}).fetchone()
    assert found is not None
    return int(found[0]), int(found[1])


def leave(system: System, path: Path, contacts: int) -> list[str]:
    """Contacts that leave at a moment each: how late they were, by the journal."""
    first = datetime.now(UTC) + timedelta(seconds=_SOON)
    made = write_moments(path, contacts, first, _LEAVING)
    with system.client() as client:
        with system.meter() as meter:
            sent = send(client, made.path)
            follow(client, sent.batch, ("rest",), made.entered, pause=0.5)
        with path.open(encoding="utf-8") as file:
            due = {row["id"]: datetime.fromisoformat(row["properties"]["renewal"]) for row in map(json.loads, file)}
        left = client.journal(sent.batch, step="hold")
        late = sorted((each.at - due[each.contact]).total_seconds() for each in left)
    used = sum(meter.run(Timed(0)).cpu.values())
    return [
        f"{contacts:,} left one by one in {_LEAVING:g} s: late by {late[len(late) // 2]:.2f} s in the median, "
        f"{late[len(late) * 99 // 100]:.2f} s at 99 %, {late[-1]:.2f} s at most",
        f"with their upload that took {used / contacts * 1_000:.1f} ms of a processor for each",
    ]
