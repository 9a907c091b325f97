"""What moved in a batch over time, as its journal says."""

from datetime import timedelta

from caravan.queries.moved import Movements
from tests.integration.conftest import System
from tests.integration.journeys_for_tests import SPRING, contacts


async def test_each_contact_that_left_a_step_is_counted_once_in_its_minute(system: System) -> None:
    await system.publish(SPRING)
    movements = Movements(system.engine)
    batch = await system.start(contacts(250))
    assert (await movements.of("b_none", seconds=1, age=0)).counts == {}
    await system.until(batch, lambda found: found["ledger"]["steps"][3]["standing"] == 250)
    before = await movements.of(batch, seconds=10, age=0)
    await system.turn(days=3)
    found = await system.ended(batch)
    assert (await movements.of(batch, seconds=10, age=60)) is before
    after = await movements.of(batch, seconds=10, age=0)
    for moved, others in ((before, {"sort", "mails"}), (after, {"sort", "mails", "days", "out"})):
        assert moved.whole
        assert sum(moved.counts.values()) == 250 * len(others)
    outcomes: dict[str, int] = {}
    for step in found["ledger"]["steps"]:
        for outcome, count in step["outcomes"].items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
    told: dict[str, int] = {}
    for (_, outcome), count in after.counts.items():
        told[outcome] = told.get(outcome, 0) + count
    assert told == outcomes
    times = [at for at, _ in after.counts]
    assert max(times) - min(times) >= timedelta(days=2, hours=23)
    assert (await Movements(system.engine).of(batch, seconds=10, age=0)).counts == after.counts


async def test_what_can_not_be_read_in_time_is_read_the_next_time(system: System) -> None:
    await system.publish(SPRING)
    batch = await system.start(contacts(10))
    await system.until(batch, lambda found: found["ledger"]["steps"][3]["standing"] == 10)
    movements = Movements(system.engine)
    nothing = await movements.of(batch, seconds=0, age=0)
    assert (nothing.counts, nothing.whole) == ({}, False)
    all = await movements.of(batch, seconds=10, age=0)
    assert (sum(all.counts.values()), all.whole) == (20, True)
