"""Who leaves a journey because a condition of its `goal` or `exit_when` is true of them."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import cast

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from caravan.journeys.exits import Exits, when
from caravan.journeys.segments import first_true
from caravan.steps.cohort_files import write_part
from caravan.steps.move import Move, Passage, Tools
from caravan.store.cohorts import Cohort, Part, read_contacts
from caravan.store.files import Draft
from caravan.store.journal import Record
from caravan.store.ledger import Outcome


def met_conditions(
    exits: Exits, contacts: pa.Table, duck: duckdb.DuckDBPyConnection, now: datetime
) -> npt.NDArray[np.int64]:
    """Of each contact (of `CONTACTS`), the first of `exits.by_condition` that is true of it; their number, if none is.
    Blocks."""
    with duck.cursor() as cursor:
        cursor.register("contacts", contacts.select(["id", "properties"]))
        found = cursor.execute(first_true(exits.segments, now)).fetchnumpy()["arm"]
    return cast(npt.NDArray[np.int64], found)


async def check_arrivals(cohort: Cohort, tools: Tools) -> Move:
    """Of contacts that have just come to a step where they are to stand, those leave of whom a condition is true."""
    return await asyncio.to_thread(_check, cohort, tools)


def _check(cohort: Cohort, tools: Tools) -> Move:
    with tools.files.local(cohort.part.file) as path:
        contacts = read_contacts(path)
    arms = met_conditions(tools.exits, contacts, tools.duck, tools.clock.now())
    nobody = len(tools.exits.by_condition)
    if (arms == nobody).all():
        return Move([], {}, [], checked=[cohort.part])
    with Draft(tools.files) as draft:
        parts = {int(arm): part for arm, part in _parts(tools, draft, cohort, contacts, arms)}
    stay = parts.pop(nobody, None)
    left, records = Counter[Outcome](), list[Record]()
    for arm, part in parts.items():
        outcome, rule = tools.exits.by_condition[arm]
        left[outcome] += part.size
        records.append(Record(cohort.step, part.file, outcome, when(rule)))
    return Move([Passage(part, None) for part in parts.values()], left, records, checked=[stay] if stay else [])


def _parts(
    tools: Tools, draft: Draft, cohort: Cohort, contacts: pa.Table, arms: npt.NDArray[np.int64]
) -> Iterator[tuple[int, Part]]:
    for arm in np.unique(arms):
        yield arm, write_part(tools, draft, cohort, contacts.filter(pa.array(arms == arm)), f"exit{arm}")
