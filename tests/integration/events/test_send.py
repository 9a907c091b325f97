"""`caravan events send` on the database of an installation."""

import asyncio
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from caravan.cli.commands import app
from caravan.errors import CaravanError
from caravan.store import events
from caravan.store.customers import add_customer
from caravan.store.database import connect


def _customer(database: str) -> int:
    async def add() -> int:
        async with connect(database, size=1) as pool, pool.connection() as connection:
            return await add_customer(connection, "commands", datetime.now(UTC))

    return asyncio.run(add())


def _names(database: str, customer: int, contact: str) -> list[str]:
    async def look() -> list[str]:
        async with connect(database, size=1) as pool, pool.connection() as connection:
            found = await events.of_contact(connection, customer, contact, limit=100)
            return [each.name for each in found]

    return asyncio.run(look())


def _send(database: str, folder: Path, *words: str, stdin: bytes | None = None) -> Result:
    environment = {"CARAVAN_DATABASE_URL": database, "CARAVAN_DATA": str(folder)}
    return CliRunner().invoke(app, ["events", "send", *words], env=environment, input=stdin)


def test_events_come_from_a_file_from_stdin_and_from_options(database: str, tmp_path: Path) -> None:
    customer = _customer(database)
    lines = b'{"id": "a", "event": "one", "key": "k"}\nnothing\n{"id": "a", "event": "two"}\n'
    packed = tmp_path / "events.ndjson.gz"
    packed.write_bytes(gzip.compress(lines))
    found = _send(database, tmp_path, str(packed), "--customer", str(customer), "--json")
    assert (found.exit_code, json.loads(found.stdout)) == (0, {"taken": 2, "duplicates": 0, "refused": 1})
    assert "line 2: " in found.stderr
    found = _send(database, tmp_path, "-", "--customer", str(customer), stdin=lines)
    assert (found.exit_code, found.stdout) == (0, "1 taken, 1 known before, 1 refused\n")
    one = ["--id", "a", "--event", "three", "--properties", '{"total": 1}', "--at", "2026-05-04T09:30:00Z"]
    assert _send(database, tmp_path, "--customer", str(customer), *one).exit_code == 0
    assert sorted(_names(database, customer, "a")) == ["one", "three", "two", "two"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--id", "a"], "name a file with events"),
        (["--event", "x"], "name a file with events"),
        (["/nowhere", "--id", "a", "--event", "x"], "name a file with events"),
        (["/nowhere"], "/nowhere is no file"),
        (["--id", "a", "--event", "x", "--properties", "{"], "--properties is a JSON object"),
        (["--id", "a", "--event", "x", "--at", "soon"], "None of the events could be used"),
    ],
)
def test_what_can_not_be_used_is_told(database: str, tmp_path: Path, words: list[str], sentence: str) -> None:
    found = _send(database, tmp_path, "--customer", str(_customer(database)), *words)
    assert isinstance(found.exception, CaravanError)
    assert sentence in found.exception.message


def test_a_customer_that_there_is_not_has_no_events(database: str, tmp_path: Path) -> None:
    found = _send(database, tmp_path, "--customer", "999999", "--id", "a", "--event", "x")
    assert isinstance(found.exception, CaravanError)
    assert found.exception.message == "There is no customer 999999."
