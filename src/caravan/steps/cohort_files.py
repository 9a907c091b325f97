"""Writing the files that a move puts into the store, under names that nothing reads until its commit (guarantee 2)."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from caravan.steps.move import Tools
from caravan.store.cohorts import Cohort, Part, line_range, with_lines, write_contacts
from caravan.store.files import Draft
from caravan.store.journal import JOURNAL, Record, write_journal


def file_name(cohort: Cohort, name: str) -> str:
    """A name in the store for a file that comes of a cohort; no two attempts share one."""
    return f"batches/{cohort.batch}/{cohort.id}-{name}-{secrets.token_hex(4)}.parquet"


@contextmanager
def scratch_file(folder: Path) -> Iterator[Path]:
    """A path in a folder of this machine for a file about to go into the store; if it does not, it is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{secrets.token_hex(8)}.parquet"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def write_part(tools: Tools, draft: Draft, cohort: Cohort, contacts: pa.Table, name: str) -> Part:
    """Put contacts of a cohort into the store as a file of their own."""
    stored = with_lines(file_name(cohort, name), *line_range(contacts))
    with scratch_file(tools.scratch) as local:
        write_contacts(contacts, local)
        draft.put(local, stored)
    return Part(stored, contacts.num_rows)


def write_outcomes(
    tools: Tools, draft: Draft, cohort: Cohort, contacts: pa.Table, outcomes: pa.Array, details: pa.Array
) -> Record:
    """Put into the store what each of these contacts met, as a journal file."""
    at = pa.repeat(pa.scalar(tools.clock.now(), JOURNAL.field("at").type), contacts.num_rows)
    name = with_lines(file_name(cohort, "journal"), *line_range(contacts))
    with scratch_file(tools.scratch) as local:
        columns = [contacts["line"], contacts["id"], outcomes, at, details]
        write_journal(pa.table(columns, schema=JOURNAL), local)
        draft.put(local, name)
    return Record(cohort.step, name, None)
