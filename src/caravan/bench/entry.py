"""`bench entry`: through HTTP, from the end of the upload until everyone is past a split and stands in a wait."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from caravan.bench.inputs import Made, write_copy, write_file
from caravan.bench.measure import Run, Timed, in_child, in_turn, now
from caravan.bench.report import Finding, Report
from caravan.bench.system import JOURNEY, System, check_ledger, follow, measured, send, shared, up, workspace
from caravan.server.embedded import embedded
from caravan.store import sql

SPLIT_AND_WAIT = f"""
journey: {JOURNEY}
name: Bench
steps:
  - id: vip_or_not
    split:
      - if: attributeName = 'yes' and ltv >= 100
        to: vip_rest
      - else: rest
  - id: vip_rest
    wait: 1 day
  - id: rest
    wait: 1 day
"""
WAITS = ("vip_rest", "rest")
_WARM = 2_000
_SPANS_EACH = 2
_PIECE = 1 << 20
YARDSTICK = "COPY of the rows that enter into one PostgreSQL table with a primary key, fsync on, until its commit"
_Q = sql.load("caravan.bench", "bench.sql")


def run(rows: int, repeats: int, say: Callable[[str], None], workers: int = 1) -> Report:
    """Both sides; with `workers` over 1 also so many. Raises `Unbalanced` when a ledger is not what it must be."""
    with workspace() as folder:
        say(f"making {rows:,} rows")
        made, warm = write_file(folder / "contacts.ndjson", rows), write_file(folder / "warm.ndjson", _WARM)
        copied = write_copy(folder / "people.tsv", rows)
        assert copied == made.entered, "Both sides must have the same contacts."
        ledgers: list[dict[str, Any]] = []
        settings = _to_share(made, workers) if workers > 1 else {}
        one = {"workers": "1"} if workers > 1 else {}
        with (
            up(folder / "data", SPLIT_AND_WAIT, **settings, **one) as system,
            embedded(folder / "yardstick", wait=True) as url,
        ):
            warm_up, ours = (partial(enter, made=each, ledgers=ledgers) for each in (warm, made))
            warm_up(system)
            theirs = partial(in_child, copy_rows, url, folder / "people.tsv", near=folder / "yardstick")
            several = shared(system, workers, warm_up, ours) if workers > 1 else None
            pairs = in_turn(repeats, partial(ours, system), theirs, say, several)
    notes = [f"one worker or {workers}, each with {_told(settings)}"] if settings else []
    finding = Finding("standard", made.entered, made.bytes, pairs, ledgers[-1])
    return Report("entry", rows, YARDSTICK, [finding], notes)


def _to_share(made: Made, workers: int) -> dict[str, str]:
    """Settings with which a worker stands for a machine of one core, and the file is large enough to be read by all;
    what the environment says counts for more."""
    spans = {"threads": "1", "span_bytes": str(made.bytes // (_SPANS_EACH * workers) + 1)}
    return {name: os.environ.get(f"CARAVAN_{name.upper()}", value) for name, value in spans.items()}


def _told(settings: dict[str, str]) -> str:
    return ", ".join(f"CARAVAN_{name.upper()}={value}" for name, value in settings.items())


def enter(system: System, made: Made, ledgers: list[dict[str, Any]]) -> Run:
    """One batch; its seconds begin when the client has handed over its last byte."""
    with system.client() as client:
        with system.meter() as meter:
            sent = send(client, made.path)
            batch = follow(client, sent.batch, WAITS, made.entered)
            end = time.time()
        check_ledger(batch["ledger"], made)
        ledgers.append(batch["ledger"])
        client.change(sent.batch, "cancel")
    facts = {"end of upload answered after": sent.answered - sent.last_byte}
    return measured(meter, end - sent.last_byte, facts)


def copy_rows(url: str, rows: Path) -> Timed:
    """The yardstick."""
    with psycopg.connect(url) as connection:
        connection.execute(_Q.drop_people)
        connection.execute(_Q.create_people)
        connection.commit()
        begin = now()
        with connection.cursor() as cursor, cursor.copy(_Q.copy_people) as copy, rows.open("rb") as file:
            while piece := file.read(_PIECE):
                copy.write(piece)
        connection.commit()
        return Timed(now() - begin)
