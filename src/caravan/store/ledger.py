"""The ledger: the counts that must balance (guarantee 1)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.database import Connection, rows

_Q = sql.load("caravan.store", "ledger.sql")


class Outcome(StrEnum):
    """How a contact left a step. Whatever it is, the contact goes on, but for `cancelled`, `goal` and `exited`."""

    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    UNKNOWN = "unknown"
    UNSUPPORTED_ADDRESS = "unsupported_address"
    QUIET_HOURS = "quiet_hours"  # outside of its step's hours, which says that it is skipped then
    CAPPED = "capped"  # its recipient had as many messages on the channel as the customer's cap allows
    EXPIRED = "expired"  # it was too late to send it
    FORGOTTEN = "forgotten"  # nothing of the contact is kept any more, so there is nothing to send
    REFUSED = "refused"  # the journey that it was to enter does not let it in again
    MOVED = "moved"  # it goes on at this step in a newer version of the journey, by another batch
    PASSED = "passed"
    GOAL = "goal"  # the goal of the journey, which ends with it
    EXITED = "exited"  # a rule of the journey let it go
    CANCELLED = "cancelled"


#: With which a contact's way in its batch ends, whatever the step leads to.
FINAL = (Outcome.GOAL, Outcome.EXITED, Outcome.CANCELLED, Outcome.MOVED)
#: How a contact leaves a message step that has, or may have, not reached it.
UNREACHED = (
    Outcome.FAILED,
    Outcome.UNKNOWN,
    Outcome.SUPPRESSED,
    Outcome.UNSUPPORTED_ADDRESS,
    Outcome.QUIET_HOURS,
    Outcome.CAPPED,
    Outcome.EXPIRED,
)


@dataclass(slots=True)
class StepCounts:
    """One step's line of the ledger: arrived = standing + the sum of outcomes."""

    step: str
    arrived: int = 0
    standing: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)

    @property
    def balances(self) -> bool:
        return self.arrived == self.standing + sum(self.outcomes.values())


@dataclass(slots=True)
class Ledger:
    """A batch's ledger: lines = entered + rejected + blank, and each step balances."""

    lines: int = 0
    blank: int = 0
    entered: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    steps: list[StepCounts] = field(default_factory=list)

    @property
    def balances(self) -> bool:
        """Guarantee 1."""
        whole = self.lines == self.entered + sum(self.rejected.values()) + self.blank
        return whole and all(step.balances for step in self.steps)

    @property
    def outcomes(self) -> dict[str, int]:
        """How many times contacts left with each outcome, at all steps together."""
        left: Counter[str] = Counter()
        for step in self.steps:
            left.update(step.outcomes)
        return dict(sorted(left.items()))


async def add_arrived(connection: Connection, batch: str, contacts: Mapping[str, int]) -> None:
    """Contacts arrived at steps: {step: contacts}."""
    for step in sorted(contacts):
        await connection.execute(_Q.add_arrived, {"batch": batch, "step": step, "contacts": contacts[step]})


async def add_left(connection: Connection, batch: str, step: str, outcomes: Mapping[Outcome, int]) -> None:
    """Contacts left a step: {outcome: contacts}."""
    values = {"batch": batch, "step": step}
    await connection.execute(_Q.add_left, {**values, "contacts": sum(outcomes.values())})
    for outcome in sorted(outcomes):
        await connection.execute(_Q.add_outcome, {**values, "outcome": outcome, "contacts": outcomes[outcome]})


async def outcomes(connection: Connection, batch: str, step: str | None) -> dict[str, int]:
    """How many times contacts left a step, or any step, with each outcome."""
    return {each["outcome"]: each["contacts"] for each in await rows(connection, _Q.outcomes, batch=batch, step=step)}


def read_ledger(found: DictRow) -> Ledger:
    """The ledger of a batch, its steps in no order, from a row of the query `shown` (batches.sql)."""
    steps = {each["step"]: StepCounts(each["step"], each["arrived"], each["standing"]) for each in found["steps"] or ()}
    for each in found["outcomes"] or ():
        steps[each["step"]].outcomes[each["outcome"]] = each["contacts"]
    return Ledger(found["lines"], found["blank"], found["entered"], found["rejected"] or {}, list(steps.values()))
