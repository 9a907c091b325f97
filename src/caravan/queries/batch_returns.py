"""What came back to the messages of a batch, step by step."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from caravan.engine.engine import Engine
from caravan.queries.batch import BatchReport, batch_report
from caravan.queries.came_back import CameBack, came_back_by_verdict
from caravan.queries.moved import Moved
from caravan.store import returns
from caravan.store.database import Connection, snapshot
from caravan.store.ledger import Outcome
from caravan.store.returns import StoredReturn

#: In which order they are told; others follow by name.
_ORDER: Final = ("delivered", "opened", "clicked", "replied", "unsubscribed", "bounced", "complained")


@dataclass(frozen=True, slots=True)
class StepReturns:
    """How often what came back to the messages of a step, of which so many were sent."""

    step: str
    sent: int
    events: list[CameBack]  # in the order in which they are told


@dataclass(frozen=True, slots=True)
class ReturnsState:
    """What has come back to a batch by now: counted, when, and the newest of it."""

    report: BatchReport
    steps: list[StepReturns]
    moved: Moved
    newest: list[StoredReturn]


async def returns_state(engine: Engine, customer: int, batch: str, most: int) -> ReturnsState:
    """What has come back to a batch of this customer, with the newest `most`. Raises `NotFound`."""
    async with snapshot(engine.pool) as connection:
        report = await batch_report(engine, connection, customer, batch)
        return ReturnsState(
            report,
            await batch_returns(connection, report),
            await returns_over_time(connection, batch),
            await returns.newest(connection, batch, limit=most),
        )


async def batch_returns(connection: Connection, report: BatchReport) -> list[StepReturns]:
    """The steps to whose messages anything came back, in the journey's order."""
    found: dict[str, list[CameBack]] = defaultdict(list)
    for each in await came_back_by_verdict(connection, report.batch.id):
        found[each.step].append(each)
    sent = {each.step: each.outcomes.get(Outcome.SENT, 0) for each in report.ledger.steps}
    steps = [*(step for step in sent if step in found), *(step for step in found if step not in sent)]
    return [
        StepReturns(step, sent.get(step, 0), sorted(found[step], key=lambda each: _place(each.event))) for step in steps
    ]


async def returns_over_time(connection: Connection, batch: str) -> Moved:
    """When bounces, complaints and replies came, by the minute."""
    return Moved(await returns.by_minute(connection, batch), True)


def _place(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)
