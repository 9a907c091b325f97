"""Journey: contacts enter another journey here, and go on in this one."""

import re
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from caravan.journeys.definition import MAX_JOURNEY
from caravan.steps.move import Entering, Move, Passage, Tools
from caravan.steps.step import CohortStep
from caravan.store.cohorts import Cohort
from caravan.store.journal import Record
from caravan.store.ledger import Outcome


def _number(value: Any) -> int:
    number = int(value) if re.fullmatch("[0-9]{1,19}", str(value)) else 0
    if not 1 <= number <= MAX_JOURNEY:
        raise ValueError("below journey stands the number of the journey that contacts enter, like 4712")
    return number


class EnterJourney(CohortStep):
    """`journey: 4712`. The contacts enter it as singles, with the properties that they have by now
    (engine/crossing.py)."""

    kind: ClassVar[str] = "journey"
    sole: ClassVar[str | None] = "journey"

    journey: Annotated[int, BeforeValidator(_number)]

    @property
    def enters(self) -> int | None:
        return self.journey

    @property
    def summary(self) -> str:
        return f"they enter journey {self.journey}"

    async def take(self, cohort: Cohort, tools: Tools) -> Move:
        """Everyone goes on, and enters the other journey with the commit."""
        return Move(
            passages=[Passage(cohort.part, self.next)],
            outcomes={Outcome.PASSED: cohort.part.size},
            records=[Record(self.id, cohort.part.file, Outcome.PASSED)],
            entering=Entering(self.journey),
        )
