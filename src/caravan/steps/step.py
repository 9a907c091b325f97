"""What the engine asks of a step beyond its fields."""

from datetime import datetime
from typing import ClassVar, Protocol, runtime_checkable

from caravan.steps.move import Lane, Move, Tools
from caravan.store.cohorts import Cohort


@runtime_checkable
class CohortStep(Protocol):
    """A step that takes cohorts. Every step type is one."""

    lane: ClassVar[Lane]

    def due(self, arrived: datetime) -> datetime:
        """When contacts who arrive now may take the step: at once, but for waits."""

    async def take(self, cohort: Cohort, tools: Tools) -> Move | None:
        """Do to a cohort what the step does; None leaves it standing, to go on later."""
