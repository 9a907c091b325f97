"""A breaker opens, is tried by one sender with one connection, adds one at a time, and closes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from caravan.delivery.breaker import FULL, OPENS_AFTER, Barred, Entry, Tally, enter, learn
from caravan.delivery.signal import Act, Signal
from caravan.store.breakers import Breaker, State

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
AWAY, WELL = Tally(unreachable=10, reason="Connection refused."), Tally(reached=10)


def fresh(provider: str = "") -> Breaker:
    return Breaker("email", "default", provider, NOON)


def opened(now: datetime = NOON) -> Breaker:
    breaker = fresh()
    for _ in range(OPENS_AFTER):
        assert breaker.state is State.CLOSED
        breaker = learn(breaker, AWAY, "a", now)
    assert breaker.state is State.OPEN
    return breaker


def test_windows_in_a_row_that_reach_nobody_open_it_and_one_that_does_begins_anew() -> None:
    breaker = learn(learn(fresh(), AWAY, "a", NOON), AWAY, "a", NOON)
    assert learn(breaker, WELL, "a", NOON).failures == 0
    assert opened().reason == "Connection refused."


def test_while_it_is_open_nobody_sends_and_all_know_why_and_how_long() -> None:
    answer, after = enter(opened(), "b", NOON + timedelta(seconds=2))
    assert answer == Barred(3, "the mail relay is stopped: Connection refused.")
    assert after == opened()


def test_one_sender_tries_it_with_one_mail_and_then_with_one_connection_more_each_time() -> None:
    now, breaker = NOON + timedelta(seconds=6), opened()
    seen = list[int]()
    while breaker.state is not State.CLOSED:
        answer, breaker = enter(breaker, f"claim {len(seen)}", now)
        assert isinstance(answer, Entry)
        assert answer.count == (1 if not seen else 5 * answer.connections)
        barred, _ = enter(breaker, "another", now)
        assert isinstance(barred, Barred) and barred.reason.startswith("the mail relay is tried again with")
        breaker = learn(breaker, WELL, f"claim {len(seen)}", now)
        seen.append(answer.connections)
    assert seen == list(range(1, FULL + 1))
    assert enter(breaker, "anybody", now)[0] is None


def test_what_another_sender_learns_meanwhile_does_not_count() -> None:
    _, breaker = enter(opened(), "a", NOON + timedelta(seconds=6))
    assert learn(breaker, WELL, "b", NOON) == breaker


def test_each_try_that_fails_doubles_the_time_until_the_next_one_up_to_five_minutes() -> None:
    breaker, now, waits = opened(), NOON, list[float]()
    for _ in range(9):
        assert breaker.probe_at is not None
        waits.append((breaker.probe_at - now).total_seconds())
        now = breaker.probe_at
        _, breaker = enter(breaker, "a", now)
        breaker = learn(breaker, AWAY, "a", now)
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_a_sender_that_died_while_it_tried_is_waited_for_two_minutes() -> None:
    now = NOON + timedelta(seconds=6)
    _, breaker = enter(opened(), "dead", now)
    assert isinstance(enter(breaker, "b", now + timedelta(seconds=119))[0], Barred)
    assert enter(breaker, "b", now + timedelta(seconds=120))[0] == Entry(1, 1)


def test_replies_open_it_once_there_were_enough_within_an_hour() -> None:
    signal = Signal(Act.STOP, "file:3", 3_600, after=10, reason="550 5.7.1 blocked")
    breaker = learn(fresh("gmail"), Tally(reached=9, stops=[(signal, 9)]), "a", NOON)
    assert breaker.state is State.CLOSED
    late = learn(breaker, Tally(reached=9, stops=[(signal, 9)]), "a", NOON + timedelta(hours=1))
    assert late.state is State.CLOSED, "those of the hour before count no more"
    stopped = learn(breaker, Tally(reached=1, stops=[(signal, 1)]), "a", NOON + timedelta(minutes=59))
    assert stopped.state is State.OPEN and stopped.reason == "550 5.7.1 blocked"
    assert stopped.probe_at == NOON + timedelta(minutes=119)
    answer, _ = enter(stopped, "a", NOON + timedelta(minutes=60))
    assert isinstance(answer, Barred) and answer.reason.startswith("gmail by the mail relay is stopped: 550")


def test_a_single_refusal_is_enough_while_it_is_tried() -> None:
    signal = Signal(Act.STOP, "file:3", 600, after=50, reason="550 5.7.1 still blocked")
    now = NOON + timedelta(seconds=6)
    _, breaker = enter(opened(), "a", now)
    after = learn(breaker, Tally(reached=1, stops=[(signal, 1)]), "a", now)
    assert (after.state, after.reason, after.probe_at) == (State.OPEN, signal.reason, now + timedelta(seconds=600))


def test_a_window_in_which_nothing_was_left_to_send_lets_others_try() -> None:
    now = NOON + timedelta(seconds=6)
    _, breaker = enter(opened(), "a", now)
    after = learn(breaker, Tally(), "a", now)
    assert after == replace(breaker, holder=None, held_until=None)
    assert enter(after, "b", now)[0] == Entry(1, 1)
