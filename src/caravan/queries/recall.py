"""What a recall would do to how many contacts, in today's numbers, before it is confirmed."""

from dataclasses import dataclass

from caravan.queries.batch import BatchReport
from caravan.store import journeys
from caravan.store.database import Connection
from caravan.store.ledger import Outcome


@dataclass(frozen=True, slots=True)
class Forecast:
    """A recall of a batch at this moment, in contacts and messages."""

    entered: int
    standing: int  # contacts that would be stopped where they are
    sent: int  # messages that can't be taken back
    settled: int  # of those standing, the ones whose outcome at their step is known already

    @property
    def finished(self) -> int:
        """Contacts that have left the journey, whom a recall does not change."""
        return self.entered - self.standing

    @property
    def sentence(self) -> str:
        """For people, with the numbers."""
        if self.entered == 0:
            return "No contact has entered the journey yet. Recalled now, this batch starts none."
        return " ".join(filter(None, (self._stopped(), self._kept(), self._settled())))

    def _stopped(self) -> str:
        if self.standing == 0:
            return f"All {self.entered:,} contacts have left the journey already, so a recall stops none."
        return f"Recall stops {self.standing:,} of {self.entered:,} contacts where they stand; they get nothing more."

    def _kept(self) -> str:
        messages = "1 message was" if self.sent == 1 else f"{self.sent:,} messages were"
        contacts = "1 contact has" if self.finished == 1 else f"{self.finished:,} contacts have"
        return f"{contacts} finished the journey, and {messages} sent already; a recall does not take these back."

    def _settled(self) -> str | None:
        if self.settled == 0:
            return None
        contacts = "1 contact" if self.settled == 1 else f"{self.settled:,} contacts"
        return f"{contacts} of those who are stopped have been dealt with at the step where they stand."


def forecast(found: BatchReport) -> Forecast:
    """What a recall of this batch would do now."""
    steps = found.ledger.steps
    sent = sum(step.outcomes.get(Outcome.SENT, 0) for step in steps)
    return Forecast(found.ledger.entered, standing(found), sent, found.settled)


@dataclass(frozen=True, slots=True)
class JourneyForecast:
    """A recall of all batches of a journey at this moment."""

    batches: int
    all: Forecast

    @property
    def sentence(self) -> str:
        """For people, with the numbers."""
        if self.batches == 0:
            return "No batch of this journey is under way, so a recall changes nothing."
        batches = "1 batch" if self.batches == 1 else f"all {self.batches:,} batches"
        if self.all.entered == 0:
            return f"This recalls {batches} of this journey. No contact has entered yet, and none will."
        return f"This recalls {batches} of this journey. {self.all.sentence}"


async def journey_forecast(connection: Connection, customer: int, journey: int) -> JourneyForecast:
    """What a recall of all batches of a journey would do now."""
    found = await journeys.under_way(connection, customer, journey)
    return JourneyForecast(found.batches, Forecast(found.entered, found.standing, found.sent, found.settled))


def standing(found: BatchReport) -> int:
    """Contacts that are at a step of the journey."""
    return sum(step.standing for step in found.ledger.steps)
