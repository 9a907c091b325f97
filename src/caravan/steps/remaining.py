"""Those of a cohort who stand still, once some have left it by an event."""

import asyncio
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from caravan.steps.cohort_files import write_part
from caravan.steps.move import Tools
from caravan.store import listening
from caravan.store.cohorts import Cohort, Part
from caravan.store.files import Draft


async def remaining(cohort: Cohort, tools: Tools) -> Cohort:
    """The cohort with a file of those who are left; with its own if nobody has left it by an event."""
    async with tools.pool.connection() as connection:
        gone = await listening.departed(connection, cohort.id)
    return replace(cohort, part=await asyncio.to_thread(_write, cohort, tools, gone)) if gone else cohort


def _write(cohort: Cohort, tools: Tools, gone: list[int]) -> Part:
    with tools.files.local(cohort.part.file) as path:
        contacts = pq.read_table(path)  # with all that a step keeps there of each contact
    stays = np.ones(contacts.num_rows, np.bool_)
    stays[gone] = False
    with Draft(tools.files) as draft:
        return write_part(tools, draft, cohort, contacts.filter(pa.array(stays)), "stay")
