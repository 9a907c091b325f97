"""`bench entry`: through HTTP, from the end of the upload until everyone is past a split and stands in a wait."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from caravan.bench.inputs import Made, write_copy, write_file
from caravan.bench.measure import Meter, Run, Timed, in_child, in_turn, now
from caravan.bench.report import Finding, Report
from caravan.bench.system import JOURNEY, System, check_ledger, follow, send, up, workspace
from caravan.store import sql
from caravan.store.embedded import embedded

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
_PIECE = 1 << 20
YARDSTICK = "COPY of the rows that enter into one PostgreSQL table with a primary key, fsync on, until its commit"
_Q = sql.load("caravan.bench", "bench.sql")


def run(rows: int, repeats: int, say: Callable[[str], None]) -> Report:
    """Both sides. Raises `Unbalanced` when a ledger is not what it must be."""
    with workspace() as folder:
        say(f"making {rows:,} rows")
        made, warm = write_file(folder / "contacts.ndjson", rows), write_file(folder / "warm.ndjson", _WARM)
        copied = write_copy(folder / "people.tsv", rows)
        assert copied == made.entered, "Both sides must have the same contacts."
        ledgers: list[dict[str, Any]] = []
        with up(folder / "data", SPLIT_AND_WAIT) as system, embedded(folder / "yardstick", wait=True) as url:
            enter(system, warm, ledgers)
            theirs = partial(in_child, copy_rows, url, folder / "people.tsv", near=folder / "yardstick")
            pairs = in_turn(repeats, partial(enter, system, made, ledgers), theirs, say)
    return Report("entry", rows, YARDSTICK, [Finding("standard", made.entered, made.bytes, pairs, ledgers[-1])])


def enter(system: System, made: Made, ledgers: list[dict[str, Any]]) -> Run:
    """One batch; its seconds begin when the client has handed over its last byte."""
    with system.client() as client:
        with Meter(system.pid, system.folder) as meter:
            sent = send(client, made.path)
            batch = follow(client, sent.batch, WAITS, made.entered)
            end = time.time()
        check_ledger(batch["ledger"], made)
        ledgers.append(batch["ledger"])
        client.change(sent.batch, "cancel")
    facts = {"end of upload answered after": sent.answered - sent.last_byte}
    return meter.run(Timed(end - sent.last_byte, facts))


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
