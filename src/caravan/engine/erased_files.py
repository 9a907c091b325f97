"""Files without one contact. Its rows stay where they are, so that places in a file, line numbers and counts say what
they said; but they have no id and no properties any more."""

import json
import re
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caravan.steps.cohort_files import scratch_file
from caravan.store.cohorts import FORGOTTEN, may_hold, write_contacts
from caravan.store.files import Draft, Files

_NAME = re.compile(r"(?:-x[0-9a-f]{8})?((?:-l[0-9]+-[0-9]+)?\.parquet)$")
#: What is put in place of what a row had. Of files of contacts, also of those that stand until a
#: moment, of the journal, of dead letters, and of rejects.
_BLANK: Final[dict[str, Any]] = {
    "id": FORGOTTEN,
    "contact": FORGOTTEN,
    "properties": "{}",
    "detail": None,
    "reason": None,
    "rule": None,
    "row": "",
    "message": "This row was forgotten.",
}
_SIZE: Final = 16_384  # rows of a row group


@dataclass(frozen=True, slots=True)
class Person:
    """The contact, and its lines in one batch."""

    contact: str
    lines: Sequence[int]

    def may_be_in(self, name: str) -> bool:
        """Whether the file of this name can hold the contact; one with rejects can in any case."""
        if name.rpartition("/")[2].startswith("rejects"):
            return True
        return name.endswith(".parquet") and any(may_hold(name, line) for line in self.lines)


def rows_of(files: Files, names: Collection[str], contact: str) -> list[dict[str, Any]]:
    """The contact's rows (line, properties) in files of contacts. Blocks."""
    found = list[dict[str, Any]]()
    for name in names:
        try:
            with files.local(name) as path:
                table = pq.read_table(path, columns=["line", "properties"], filters=[("id", "=", contact)])
        except FileNotFoundError:  # one of those that may be gone
            continue
        found += table.to_pylist()
    return found


def write_without(
    files: Files, draft: Draft, scratch: Path, names: Collection[str], contact: str
) -> dict[str, tuple[str, int]]:
    """Write anew those of the files that hold the contact: {old: (new, rows)}. Blocks."""
    written = {}
    for name in names:
        try:
            with files.local(name) as path:
                there = _places(path, contact)
                if there is None:
                    continue
                table = pq.read_table(path)
        except FileNotFoundError:  # a draft that was given up, or a batch that is being forgotten
            continue
        new = _NAME.sub(lambda match: f"-x{secrets.token_hex(4)}{match[1]}", name)
        with scratch_file(scratch) as local:
            _write(_without(table, there), local)
            draft.put(local, new)
        written[name] = new, pc.sum(there).as_py()
    return written


def _places(path: Path, contact: str) -> pa.ChunkedArray | None:
    """Of each row whether it is the contact's; None if none is."""
    names = pq.read_schema(path).names
    column, is_its = _told_by(names, contact)
    if column is None:
        return None
    there = is_its(pq.read_table(path, columns=[column])[column])
    return there if pc.any(there).as_py() else None


def _told_by(names: Sequence[str], contact: str) -> tuple[str | None, Callable[[pa.ChunkedArray], pa.ChunkedArray]]:
    """The column that says whose a row is, and how."""
    for column in ("id", "contact"):
        if column in names:
            return column, lambda ids: pc.fill_null(pc.equal(ids, contact), False)
    if "row" in names:  # of rejects: rows as they came, cut off
        return "row", lambda texts: pc.match_substring_regex(texts, _in_row(contact))
    return None, lambda ids: ids


def _in_row(contact: str) -> str:
    """What a row of this contact has, however its JSON is written."""
    texts = {json.dumps(contact), json.dumps(contact, ensure_ascii=False)}
    if contact.isascii() and contact.isdigit():
        texts.add(contact)
    ways = "|".join(map(_literal, sorted(texts)))
    return rf'"id"\s*:\s*(?:{ways})(?:[^0-9]|$)'


def _literal(text: str) -> str:
    """The text in a regular expression of RE2."""
    return "".join(each if each.isalnum() or not each.isascii() else rf"\x{{{ord(each):x}}}" for each in text)


def _without(table: pa.Table, there: pa.ChunkedArray) -> pa.Table:
    for place, field in enumerate(table.schema):
        if field.name in _BLANK:
            blank = pa.scalar(_BLANK[field.name], field.type)
            table = table.set_column(place, field, pc.if_else(there, blank, table[field.name]))
    return table


def _write(table: pa.Table, path: Path) -> None:
    if "id" in table.schema.names:
        write_contacts(table, path)
    else:
        pq.write_table(table, path, compression="zstd", row_group_size=_SIZE)
