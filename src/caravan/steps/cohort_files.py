"""Writing the files that a move puts into the store, under names that nothing reads until its commit (guarantee 2)."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from caravan.steps.move import Tools
from caravan.store.cohorts import Cohort, Part, write_contacts
from caravan.store.files import Draft


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
    stored = file_name(cohort, name)
    with scratch_file(tools.scratch) as local:
        write_contacts(contacts, local)
        draft.put(local, stored)
    return Part(stored, contacts.num_rows)
