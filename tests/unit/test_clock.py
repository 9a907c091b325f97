"""The one clock."""

from datetime import UTC, datetime, timedelta

from caravan.clock import Clock, TurnedClock


def test_time_is_utc() -> None:
    assert Clock().now().tzinfo is UTC
    assert abs(Clock().now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_turned_clock_is_ahead_by_all_its_turns_and_knows_the_machines_time() -> None:
    clock = TurnedClock()
    clock.turn(timedelta(days=2))
    clock.turn(timedelta(hours=1))
    before = datetime.now(UTC)
    assert timedelta(days=2, hours=1) <= clock.now() - before < timedelta(days=2, hours=1, seconds=5)
    moment = clock.now()
    assert clock.to_machine(moment) == moment - timedelta(days=2, hours=1)
