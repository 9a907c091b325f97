"""Writing the files that a move puts into the store, under names that nobody reads until its commit (law 2)."""

import secrets
from pathlib import Path

import pyarrow as pa

from caravan.steps.move import Tools
from caravan.store.cohorts import Cohort, Part, write_contacts


def file_name(cohort: Cohort, name: str) -> str:
    """A name in the store for a file that comes of a cohort; no two attempts share one."""
    return f"batches/{cohort.batch}/{cohort.id}-{name}-{secrets.token_hex(4)}.parquet"


def scratch_file(tools: Tools) -> Path:
    """A path of this machine for a file about to go into the store."""
    tools.scratch.mkdir(parents=True, exist_ok=True)
    return tools.scratch / f"{secrets.token_hex(8)}.parquet"


def write_part(tools: Tools, cohort: Cohort, contacts: pa.Table, name: str) -> Part:
    """Put contacts of a cohort into the store as a file of their own."""
    local, stored = scratch_file(tools), file_name(cohort, name)
    write_contacts(contacts, local)
    tools.files.put(local, stored)
    return Part(stored, contacts.num_rows)
