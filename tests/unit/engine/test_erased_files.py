"""Files are written anew without a contact: its rows stay in their places, and those of others as they are."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.engine.erased_files import Person, write_without
from caravan.intake.rejects import REJECT_SCHEMA, RejectCode, read_rejects
from caravan.store.cohorts import CONTACTS, write_contacts
from caravan.store.files import Draft, LocalFiles
from caravan.store.journal import JOURNAL

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8) | st.integers(0, 99).map(str)


def rewritten(folder: Path, name: str, contact: str) -> pa.Table | None:
    """A file of the store after the contact was forgotten; None if it stays as it is."""
    files = LocalFiles(folder)
    with Draft(files) as draft:
        written = write_without(files, draft, folder / "scratch", [name, "batches/b/none.parquet"], contact)
    if not written:
        return None
    assert list(written) == [name]
    return pq.read_table(folder / written[name][0])


def test_rows_of_contacts_stay_in_their_places(tmp_path: Path) -> None:
    table = pa.table([[7, 8, 9], ["a", "b", "a"], ['{"x": 1}', '{"x": 2}', "{}"]], schema=CONTACTS)
    table = table.append_column("rule", pa.array(["at x", "at y", "at z"]))
    name = "batches/b/cohort-1-l7-9.parquet"
    (tmp_path / name).parent.mkdir(parents=True)
    write_contacts(table.replace_schema_metadata({b"kept": b"1"}), tmp_path / name)
    found = rewritten(tmp_path, name, "a")
    assert found is not None
    assert found.to_pydict() == {
        "line": [7, 8, 9],
        "id": ["", "b", ""],
        "properties": ["{}", '{"x": 2}', "{}"],
        "rule": [None, "at y", None],
    }
    assert found.schema.metadata[b"kept"] == b"1"
    assert rewritten(tmp_path, name, "c") is None


def test_a_name_says_which_lines_are_in_the_file_and_does_not_grow(tmp_path: Path) -> None:
    name = "batches/b/cohort-1-l7-9.parquet"
    (tmp_path / name).parent.mkdir(parents=True)
    write_contacts(pa.table([[7], ["a"], ["{}"]], schema=CONTACTS), tmp_path / name)
    files, names = LocalFiles(tmp_path), [name]
    for contact in ("a", ""):
        with Draft(files) as draft:
            names.append(write_without(files, draft, tmp_path / "scratch", names[-1:], contact)[names[-1]][0])
    assert names[1].endswith("-l7-9.parquet")
    assert len(names[2]) == len(names[1]) == len(name) + 10
    assert Person("a", [8]).may_be_in(names[2])
    assert not Person("a", [10]).may_be_in(names[2])
    assert Person("a", []).may_be_in("batches/b/rejects-all-1.parquet")


def test_the_journal_keeps_line_outcome_and_time(tmp_path: Path) -> None:
    row = {"line": 1, "contact": "a", "outcome": "sent", "at": None, "detail": "250 to a@example.com"}
    name = "batches/b/1-journal.parquet"
    (tmp_path / name).parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([row, {**row, "contact": "b"}], JOURNAL), tmp_path / name)
    found = rewritten(tmp_path, name, "a")
    assert found is not None
    assert found.to_pylist() == [{**row, "contact": "", "detail": None}, {**row, "contact": "b"}]


@given(contact=IDS, other=IDS, plain=st.booleans(), spaced=st.booleans())
def test_a_rejected_row_is_known_by_its_id_however_it_is_written(
    tmp_path_factory: pytest.TempPathFactory, contact: str, other: str, plain: bool, spaced: bool
) -> None:
    folder = tmp_path_factory.mktemp("files")
    colon = " : " if spaced else ":"
    texts = [f'{{"id"{colon}{json.dumps(each, ensure_ascii=plain)}, "properties": [' for each in (contact, other)]
    if contact.isascii() and contact.isdigit() and str(int(contact)) == contact:
        texts.append(f'{{"id": {contact}, "properties": [')
    rejects = [
        {"line": n + 1, "offset": 0, "code": RejectCode.DUPLICATE.value, "message": "Twice.", "row": text}
        for n, text in enumerate(texts)
    ]
    (folder / "batches/b").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rejects, REJECT_SCHEMA), folder / "batches/b/rejects-1.parquet")
    found = rewritten(folder, "batches/b/rejects-1.parquet", contact)
    assert found is not None
    pq.write_table(found, folder / "read")
    rows = [each.row for each in read_rejects(folder / "read")]
    assert rows == ["" if n != 1 or other == contact else texts[1] for n in range(len(texts))]
