"""Exit: the journey ends here."""

from collections.abc import Iterator
from typing import ClassVar

from caravan.steps.move import Move, Passage, Tools
from caravan.steps.step import CohortStep
from caravan.store.cohorts import Cohort
from caravan.store.journal import Record
from caravan.store.ledger import Outcome


class Exit(CohortStep):
    """`exit: {}`."""

    kind: ClassVar[str] = "exit"

    @property
    def summary(self) -> str:
        return "the journey ends here"

    def check(self) -> Iterator[tuple[str, str]]:
        if self.next is not None:
            yield "next", "an exit leads nowhere, so it has no next"

    async def take(self, cohort: Cohort, tools: Tools) -> Move:
        """Everyone is at the end."""
        return Move(
            passages=[Passage(cohort.part, None)],
            outcomes={Outcome.PASSED: cohort.part.size},
            records=[Record(self.id, cohort.part.file, Outcome.PASSED)],
        )
