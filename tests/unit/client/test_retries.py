"""Pauses that grow and end."""

from caravan.client.retries import RetryPolicy


def test_the_pauses_double_and_are_a_minute_in_all() -> None:
    slept: list[float] = []
    patience = RetryPolicy(60, slept.append)
    while patience.wait():
        pass
    assert slept[:6] == [0.5, 1, 2, 4, 8, 10]
    assert sum(slept) == 60


def test_who_has_none_waits_for_nothing() -> None:
    assert not RetryPolicy(0, lambda _: None).wait()
