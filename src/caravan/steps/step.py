"""What every step type does beyond its fields."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from caravan.events.event import Origin
from caravan.events.happening import Happening
from caravan.journeys.model import Step
from caravan.steps.move import Move, Tools
from caravan.store.cohorts import Cohort


@dataclass(frozen=True, slots=True)
class Stay:
    """A contact that stands at a step."""

    delivery: Origin  # names the stay, as it does what is sent on it
    properties: str  # the text of a JSON object


class CohortStep(Step):
    """A step of a journey that takes cohorts."""

    sends: ClassVar[bool] = False  # whether it gives each contact a message, which takes long
    keeps_letters: ClassVar[bool] = False  # whether contacts that failed here can be sent to once more

    def due(self, arrived: datetime) -> datetime:
        """When contacts that arrive now may take the step: at once, but for waits."""
        return arrived

    @property
    def unreached_to(self) -> str | None:
        """Where those go on who got no message here."""
        return self.next

    def changed(self, contacts: pa.Table, now: datetime) -> pa.Table:
        """The same contacts (of `CONTACTS`) with the properties that the step gives them. Blocks."""
        return contacts

    def ends(self, contacts: pa.Table, duck: duckdb.DuckDBPyConnection, now: datetime) -> npt.NDArray[np.bool_] | None:
        """Which contacts that arrive now end their journey here, other than by a way of the step; None for nobody.
        Blocks."""
        return None

    def counts_from(self, arrived: datetime, before: datetime | None, entered: datetime | None) -> datetime:
        """From when on such an event counts, for contacts that arrive now, came to the step before at `before`, and
        entered the journey at `entered`."""
        return arrived

    def led_on(
        self, happenings: Sequence[Happening], stays: Sequence[Stay], duck: duckdb.DuckDBPyConnection, now: datetime
    ) -> list[int | None]:
        """Of contacts that stand here, each with something that it did: by which of the step's ways that leads it on;
        None where it stays. Blocks."""
        return [None] * len(happenings)

    def way_of(self, index: int) -> tuple[str, str | None]:
        """A way on by an event: its name, and the step to which it leads; None ends the journey."""
        raise NotImplementedError(f"nothing leads on from a {self.kind}")

    def learnt(self, index: int, happening: Happening, properties: str) -> str:
        """A contact's properties with what is kept of the event that leads it on by this way."""
        return properties

    @abstractmethod
    async def take(self, cohort: Cohort, tools: Tools) -> Move | None:
        """The move that the step makes of a cohort; None leaves the cohort as it is, to go on later."""
