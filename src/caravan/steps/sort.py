"""Steps that send the contacts of a cohort different ways at once: split and A/B."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from caravan.steps.cohort_files import write_part
from caravan.steps.event_counts import EventCounts
from caravan.steps.move import Move, Passage, Tools
from caravan.steps.step import CohortStep
from caravan.steps.why import Why
from caravan.store.cohorts import Cohort, Part, read_contacts
from caravan.store.files import Draft
from caravan.store.journal import Record
from caravan.store.ledger import Outcome

Arms = npt.NDArray[np.int64]
END = "the end"  # the journal's word for contacts that no branch takes


class SortStep(CohortStep):
    """A step that sends each contact of a cohort one of several ways."""

    @property
    @abstractmethod
    def ways(self) -> list[str | None]:
        """The steps to which contacts can go, in the order in which they are written; None ends the journey. One step
        may stand there more than once."""

    @property
    def may_end(self) -> bool:
        return None in self.ways

    @property
    def asks_the_clock(self) -> bool:
        """Whether the same contacts may go other ways at another time."""
        return False

    @abstractmethod
    def choose(self, contacts: pa.Table, duck: duckdb.DuckDBPyConnection, now: datetime, counts: EventCounts) -> Arms:
        """The index of one of the ways for each contact (of `CONTACTS`), as of `now`. Blocks."""

    @abstractmethod
    def explain(
        self, contact: str, properties: str, duck: duckdb.DuckDBPyConnection, now: datetime, counts: EventCounts
    ) -> Why:
        """Why a contact with this id and these properties (a JSON object) goes where `choose` sends it, as of `now`.
        Blocks."""

    async def take(self, cohort: Cohort, tools: Tools) -> Move:
        """Send each contact its way."""
        now, counts = tools.clock.now(), EventCounts(tools.pool, cohort.customer)
        return await asyncio.to_thread(
            sort, cohort, tools, self.ways, lambda contacts: self.choose(contacts, tools.duck, now, counts)
        )


def sort(cohort: Cohort, tools: Tools, targets: Sequence[str | None], choose: Callable[[pa.Table], Arms]) -> Move:
    """The move that `choose` makes: it gives the index of a target for each contact. Blocks."""
    with tools.files.local(cohort.part.file) as path:
        contacts = read_contacts(path)
    parts = _parts(tools, cohort, contacts, choose(contacts), len(targets))
    going = [(part, to) for part, to in zip(parts, targets, strict=True) if part is not None]
    return Move(
        passages=[Passage(part, to) for part, to in going],
        outcomes={Outcome.PASSED: cohort.part.size},
        records=[Record(cohort.step, part.file, Outcome.PASSED, to or END) for part, to in going],
    )


def _parts(tools: Tools, cohort: Cohort, contacts: pa.Table, arms: Arms, count: int) -> list[Part | None]:
    """One part for each arm, None where no contact takes it. A cohort that goes one way as a whole keeps its file."""
    sizes = np.bincount(arms, minlength=count)
    if sizes.max() == cohort.part.size:
        return [cohort.part if size else None for size in sizes]
    with Draft(tools.files) as draft:
        return [
            write_part(tools, draft, cohort, contacts.filter(pa.array(arms == arm)), str(arm)) if size else None
            for arm, size in enumerate(sizes)
        ]
