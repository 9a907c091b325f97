"""What starting again would do, with how many contacts, before it is confirmed."""

from dataclasses import dataclass

from caravan.engine.engine import Engine
from caravan.engine.restart import choose, count
from caravan.store import batches, journeys
from caravan.store.ledger import Outcome

_REACHED = {
    Outcome.SENT: "They got a message there already.",
    Outcome.UNKNOWN: "Some of them may have got a message there already: it is not known.",
}


@dataclass(frozen=True, slots=True)
class Prospect:
    """A restart at this moment."""

    contacts: int
    outcome: str
    step: str | None
    journey: str  # its name
    version: int  # that they would walk
    old_version: int | None
    ended: bool  # whether the batch has

    @property
    def sentences(self) -> list[str]:
        """For people, with the numbers."""
        return [each for each in (self._start, self._version, _REACHED.get(Outcome(self.outcome)), self._both) if each]

    @property
    def _start(self) -> str:
        contacts = "1 contact that" if self.contacts == 1 else f"{self.contacts:,} contacts that"
        where = "a step" if self.step is None else f"“{self.step}”"
        begins = "enters" if self.contacts == 1 else "enter"
        left = f"left {where} as {self.outcome.replace('_', ' ')}"
        return f"{contacts} {left} {begins} “{self.journey}” once more, from its first step, as a new batch."

    @property
    def _version(self) -> str | None:
        if self.version == self.old_version:
            return None
        return f"They walk version {self.version} of the journey; this batch walked version {self.old_version}."

    @property
    def _both(self) -> str | None:
        if self.ended:
            return None
        return "This batch has not ended: whoever still stands in it goes on there as well."


async def prospect(engine: Engine, customer: int, batch_id: str, outcome: str, step: str | None) -> Prospect:
    """What a restart of this batch would do now. Raises what the restart itself would."""
    async with engine.pool.connection() as connection:
        batch = await batches.of_customer(connection, customer, batch_id)
        chosen = await choose(engine, connection, batch, outcome, step)
        newest = await journeys.latest(connection, customer, batch.journey_id)
        journey = await engine.journeys.get(connection, customer, batch.journey_id, newest.version)
    contacts = await count(engine, chosen)
    return Prospect(contacts, outcome, step, journey.name, newest.version, batch.version, batch.ended)
