"""Lists of suppressions as files: CSV and NDJSON, read and written a few thousand lines at a time, however long."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import BinaryIO, Final

from caravan.engine.suppressions import By, entry
from caravan.errors import InvalidInput
from caravan.store import suppressions as store
from caravan.store.database import Pool
from caravan.store.suppressions import Reason, Suppression

COLUMNS: Final = ("address", "channel", "topic", "reason", "at", "detail")
_CHUNK: Final = 10_000  # lines of one transaction
_LONGEST_LINE: Final = 16_384  # octets
_TOLD: Final = 1_000  # refusals that are told one by one
_ADDED: Final = ("source", "who")  # of an export; an import says these itself


class Format(StrEnum):
    """How a list is written."""

    CSV = "csv"
    NDJSON = "ndjson"


@dataclass(slots=True)
class Imported:
    """What became of a list. `known` were suppressed in the same way already; the first refusals are told."""

    lines: int = 0
    added: int = 0
    known: int = 0
    refused: int = 0
    refusals: list[tuple[int, str]] = field(default_factory=list)  # (line, why)

    def refuse(self, line: int, why: str) -> None:
        """A line can't be used."""
        self.refused += 1
        if len(self.refusals) < _TOLD:
            self.refusals.append((line, why))


@dataclass(frozen=True, slots=True)
class Importer:
    """Adds a list to a customer's suppressions. It can be done again: what there is already stays."""

    pool: Pool
    customer: int
    channels: Sequence[str]
    by: By
    now: datetime

    async def add(self, source: BinaryIO, format: Format) -> Imported:
        """Read all of a list. Each few thousand lines are committed together; the rest goes on after a line that
        can't be used. Raises `InvalidInput` for a CSV file without the column `address`."""
        made = Imported()
        rows = _csv(source) if format is Format.CSV else _ndjson(source)
        while read := await asyncio.to_thread(self._read, rows, made):
            async with self.pool.connection() as connection, connection.transaction():
                added = await store.add(connection, self.customer, read)
            made.added += added
            made.known += len(read) - added
        return made

    def _read(self, rows: "Iterator[tuple[int, dict[str, object] | str]]", made: Imported) -> list[Suppression]:
        read: list[Suppression] = []
        for line, values in rows:
            made.lines += 1
            if isinstance(values, str):
                made.refuse(line, values)
                continue
            try:
                values.setdefault("reason", Reason.IMPORT)
                read.append(entry(self.channels, self.by, self.now, **values))
            except InvalidInput as error:
                made.refuse(line, error.message)
            if len(read) >= _CHUNK:
                break
        return read


def _lines(source: BinaryIO) -> Iterator[tuple[int, str | None]]:
    """Each line with its number; None in place of one that is too long or not UTF-8. Blank ones are left out."""
    number = 0
    while line := source.readline(_LONGEST_LINE):
        number += 1
        if not line.endswith(b"\n") and len(line) >= _LONGEST_LINE:
            while (rest := source.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            yield number, None
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            yield number, None
            continue
        if text.strip():
            yield number, text


_UNREADABLE: Final = f"The line is not UTF-8, or longer than {_LONGEST_LINE:,} octets."


def _ndjson(source: BinaryIO) -> Iterator[tuple[int, dict[str, object] | str]]:
    for number, text in _lines(source):
        yield number, _UNREADABLE if text is None else _object(text)


def _object(text: str) -> dict[str, object] | str:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return 'The line is not JSON; write an object like {"address": "anna@example.com"}.'
    if isinstance(found, str):
        return {"address": found}
    if not isinstance(found, dict):
        return "The line is neither a JSON object nor a text."
    unknown = next((each for each in found if each not in (*COLUMNS, *_ADDED, "id")), None)
    if unknown is not None:
        return f"There is no member {unknown!r}; there are {', '.join(COLUMNS)}."
    return {name: found[name] for name in COLUMNS if found.get(name) is not None}


def _csv(source: BinaryIO) -> Iterator[tuple[int, dict[str, object] | str]]:
    """Rows of one line each. A file whose first row has no column `address`, but an address, is a plain list."""
    columns: list[str] | None = None
    for number, text in _lines(source):
        if text is None:
            yield number, _UNREADABLE
            continue
        try:
            (row,) = csv.reader([text], strict=True)
        except (csv.Error, ValueError):
            yield number, "The line is no row of CSV; a value does not go over several lines."
            continue
        if columns is None:
            columns = _header(row)
            if columns is not None:
                continue
            columns = ["address"]
        given = {name: value.strip() for name, value in zip(columns, row, strict=False) if name in COLUMNS}
        yield number, {name: value for name, value in given.items() if value}


def _header(row: list[str]) -> list[str] | None:
    names = [each.strip().lower() for each in row]
    if "address" in names:
        unknown = next((each for each in names if each not in (*COLUMNS, *_ADDED, "id")), None)
        if unknown is not None:
            raise InvalidInput(f"There is no column {unknown!r}; there are {', '.join(COLUMNS)}.")
        return names
    if len(row) == 1 and ("@" in row[0] or ":" in row[0] or row[0].strip().startswith("+")):
        return None
    raise InvalidInput(f"The first line names no column address; the columns are {', '.join(COLUMNS)}.")


async def export(
    pool: Pool, customer: int, format: Format, channel: str | None = None, reason: str | None = None
) -> AsyncIterator[str]:
    """All of a customer's suppressions, oldest first, some thousand lines at a time. An import reads them back."""
    if format is Format.CSV:
        yield _row([*COLUMNS, *_ADDED])
    after = 0
    while True:
        async with pool.connection() as connection:
            found = await store.following(connection, customer, after, _CHUNK, channel, reason)
        if not found:
            return
        after = found[-1].id
        yield "".join(map(_csv_line if format is Format.CSV else _json_line, found))


def as_json(found: Suppression) -> dict[str, object]:
    """A suppression for programs."""
    return {
        "address": found.address,
        "channel": found.channel,
        "topic": found.topic,
        "reason": str(found.reason),
        "at": found.at.isoformat(),
        "detail": found.detail,
        "source": found.source,
        "who": found.who,
    }


def _json_line(found: Suppression) -> str:
    return json.dumps(as_json(found), ensure_ascii=False) + "\n"


def _csv_line(found: Suppression) -> str:
    values = as_json(found)
    return _row(["" if values[name] is None else str(values[name]) for name in (*COLUMNS, *_ADDED)])


def _row(values: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return text.getvalue()
