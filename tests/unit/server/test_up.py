"""What `caravan up` starts again."""

import pytest

from caravan.server.up import _Pace


def test_what_ends_again_and_again_is_started_ever_more_seldom_and_at_once_after_it_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr("caravan.server.up.time.monotonic", lambda: now)
    pace, starts = _Pace(), list[float]()
    while now < 1_100:
        if pace.is_time():
            starts.append(now)
        now += 0.5
    assert starts == [1_000, 1_001, 1_003, 1_007, 1_015, 1_030, 1_045, 1_060, 1_075, 1_090]
    now += 60
    assert pace.is_time()
    assert not pace.is_time()
    now += 1
    assert pace.is_time()
