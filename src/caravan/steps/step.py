"""What every step type does beyond its fields."""

from abc import abstractmethod
from datetime import datetime
from typing import ClassVar

import duckdb

from caravan.journeys.model import Step
from caravan.steps.move import Move, Tools
from caravan.steps.why import Why
from caravan.store.cohorts import Cohort


class CohortStep(Step):
    """A step of a journey that takes cohorts."""

    sends: ClassVar[bool] = False  # whether it gives each contact a message, which takes long

    def due(self, arrived: datetime) -> datetime:
        """When contacts that arrive now may take the step: at once, but for waits."""
        return arrived

    def explain(self, duck: duckdb.DuckDBPyConnection, contact: str, properties: str, at: datetime) -> Why | None:
        """Why a contact with these properties (a JSON object) went where it did at that time; None for a step that
        does not choose. Blocks."""
        return None

    @abstractmethod
    async def take(self, cohort: Cohort, tools: Tools) -> Move | None:
        """The move that the step makes of a cohort; None leaves the cohort as it is, to go on later."""
