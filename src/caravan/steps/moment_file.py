"""Contacts that stand at one step until a moment each: few cohorts, of which those leave whose moment has come.

Their file is ordered by the moment and has it with each contact. A cohort may hold many moments; when the first of them
comes, what is left of it becomes several cohorts. So a contact is written once for each level of a tree, and however
many moments there are, few cohorts stand.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from caravan.steps.cohort_files import write_outcomes, write_part
from caravan.steps.moments import Fate, Solved, micros_of, moment_of
from caravan.steps.move import Move, Passage, Standing, Tools
from caravan.steps.zones import Micros
from caravan.store.cohorts import CONTACTS, Cohort, Part
from caravan.store.files import Draft
from caravan.store.journal import Record
from caravan.store.ledger import Outcome

#: How many cohorts one becomes, at most: few, where each is large (docs/decisions.md).
LARGE, FEW, MANY = 4_096, 8, 40
_SECOND: Final = 1_000_000
_STAY: Final = b"caravan.stay"  # in the file: whose moments these are
_PUTS_AT_ONCE: Final = 4
REASON: Final = "until the moment of each of them"
#: What the file of contacts that stand has beside `CONTACTS`.
STANDING = (
    CONTACTS.append(pa.field("due", pa.timestamp("us", tz="UTC")))
    .append(pa.field("fate", pa.int8()))
    .append(pa.field("zone", pa.string()))
    .append(pa.field("rule", pa.string()))
)


@dataclass(frozen=True, slots=True)
class Exits:
    """Whether contacts leave the journey whose moment is past, or who have none."""

    past: bool
    invalid: bool


def exits_of(fate: NDArray[np.int8], exits: Exits) -> NDArray[np.bool_]:
    """Whose journey ends here."""
    gone = [kind for kind, leaves in ((Fate.PAST, exits.past), (Fate.INVALID, exits.invalid)) if leaves]
    return np.isin(fate, gone)


def read_standing(path: Path, cohort: Cohort) -> pa.Table | None:
    """The contacts of a cohort with their moments; None if these are not known yet on this visit."""
    with pq.ParquetFile(path) as file:
        known = (file.schema_arrow.metadata or {}).get(_STAY) == _stay(cohort)
        return file.read(columns=STANDING.names) if known else None


def with_moments(contacts: pa.Table, solved: Solved, cohort: Cohort) -> pa.Table:
    """The same contacts with their moments, ordered by these. Those who do not wait come first."""
    due = np.where(solved.fate == Fate.WAITS, solved.due, 0)
    columns = [
        pa.array(due, pa.timestamp("us", tz="UTC")),
        pa.array(solved.fate, pa.int8()),
        solved.zone,
        solved.detail,
    ]
    plain = [contacts[name] for name in CONTACTS.names]
    table = pa.table([*plain, *columns], schema=STANDING.with_metadata({_STAY: _stay(cohort)}))
    return table.take(pa.array(np.argsort(due, kind="stable")))


def _stay(cohort: Cohort) -> bytes:
    return f"{cohort.step}/{cohort.visit}".encode()


def move_on(table: pa.Table, cohort: Cohort, tools: Tools, to: str | None, exits: Exits, fresh: bool) -> Move:
    """Those whose moment has come go on, the others stand. `fresh`: the cohort's file does not have the moments.
    Blocks."""
    due = table["due"].cast(pa.int64()).to_numpy()
    here = int(np.searchsorted(due, micros_of(tools.clock.now()), side="right"))
    leaving, staying = table.slice(0, here), table.slice(here)
    with Draft(tools.files) as draft:
        passages, records = _leave(tools, draft, cohort, leaving, to, exits, whole=here == table.num_rows)
        if here == 0 and not fresh:  # a clock that was put back, or a pause without waiting times
            until = moment_of(_up(int(due[0])))
            return Move([], {}, [], standing=[Standing(cohort.part, until, REASON)])
        standing = _stand(tools, draft, cohort, staying, due[here:])
    return Move(passages, {Outcome.PASSED: here} if here else {}, records, standing=standing)


def _leave(
    tools: Tools, draft: Draft, cohort: Cohort, leaving: pa.Table, to: str | None, exits: Exits, *, whole: bool
) -> tuple[list[Passage], list[Record]]:
    if not leaving.num_rows:
        return [], []
    ends = exits_of(leaving["fate"].to_numpy(), exits)
    passages, records = [], []
    for gone, target in ((~ends, to), (ends, None)):
        if not gone.any():
            continue
        some = leaving if gone.all() else leaving.filter(pa.array(gone))
        if whole and gone.all():
            part = cohort.part
        else:
            plain = some.select(CONTACTS.names).replace_schema_metadata(None)
            part = write_part(tools, draft, cohort, plain, "past" if target is None else "due")
        passages.append(Passage(part, target))
        records.append(_record(tools, draft, cohort, some, part))
    return passages, records


def _record(tools: Tools, draft: Draft, cohort: Cohort, some: pa.Table, part: Part) -> Record:
    """What the journal says: of all the same, or of each something."""
    first = some["rule"][0].as_py()
    if some.num_rows == 1 or len(some["rule"].unique()) == 1:
        return Record(cohort.step, part.file, Outcome.PASSED, first)
    outcomes = pa.repeat(Outcome.PASSED.value, some.num_rows)
    return write_outcomes(tools, draft, cohort, some, outcomes, some["rule"])


def _stand(tools: Tools, draft: Draft, cohort: Cohort, staying: pa.Table, due: Micros) -> list[Standing]:
    if not staying.num_rows:
        return []
    cuts = list(slots(due, FEW if len(due) > LARGE else MANY))

    def write(cut: tuple[int, int]) -> Standing:
        first, stop = cut
        part = write_part(tools, draft, cohort, staying.slice(first, stop - first), f"until{first}")
        return Standing(part, moment_of(_up(int(due[first]))), REASON)

    with ThreadPoolExecutor(_PUTS_AT_ONCE) as pool:
        return list(pool.map(write, cuts))


def slots(due: Micros, most: int) -> Iterator[tuple[int, int]]:
    """Cut moments that are in order into at most so many pieces, (first, stop), of about the same size. Moments of one
    second stay together; where they are few, each has a piece of its own."""
    seconds = -(-due // _SECOND)
    starts: NDArray[np.int64] = np.flatnonzero(np.diff(seconds, prepend=seconds[0] - 1))
    if len(starts) > most:
        wanted = np.linspace(0, len(due), most, endpoint=False)
        starts = starts[np.unique(np.searchsorted(starts, wanted, side="right") - 1)]
    stops = [*starts[1:].tolist(), len(due)]
    yield from zip(starts.tolist(), stops, strict=True)


def _up(micros: int) -> int:
    """The next full second: all moments of one second leave together, and none too early."""
    return -(-micros // _SECOND) * _SECOND
