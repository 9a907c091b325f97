"""What is measured is what was done: times, CPU and memory of all processes that take part."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from caravan.bench import measure
from caravan.bench.measure import Meter, Pairs, Run, Shared, Spread, Timed, family, in_child, in_turn


def a_run(seconds: float) -> Run:
    return Run(seconds, {"other": seconds}, 1)


def busy(seconds: float, size: int) -> Timed:
    """Burns CPU and holds memory."""
    kept = bytearray(os.urandom(1) * size)
    end = time.process_time() + seconds
    while time.process_time() < end:
        kept[0] = 1
    return Timed(seconds, {"kept": float(len(kept))})


def test_a_spread_has_median_and_both_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_both_sides_run_in_turn_and_are_compared_pair_by_pair() -> None:
    order: list[str] = []

    def side(name: str, seconds: float) -> Run:
        order.append(name)
        return a_run(seconds)

    heard: list[str] = []
    pairs = in_turn(3, lambda: side("ours", 3.0), lambda: side("theirs", 2.0), heard.append)
    assert order == ["ours", "theirs"] * 3
    assert pairs.time_ratio == Spread(1.5, 1.5, 1.5)
    assert len(heard) == 3


def test_several_workers_run_after_both_sides() -> None:
    order: list[str] = []

    def side(name: str, seconds: float) -> Run:
        order.append(name)
        return a_run(seconds)

    shared = Shared(2, lambda: side("two", 1.5))
    pairs = in_turn(2, lambda: side("ours", 3.0), lambda: side("theirs", 2.0), print, shared)
    assert order == ["ours", "theirs", "two"] * 2
    assert (pairs.workers, pairs.speedup) == (2, Spread(2.0, 2.0, 2.0))


def test_each_process_of_a_kind_is_told_apart() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        with Meter(os.getpid()) as meter:
            busy(0.2, 1)
        child.communicate(b"\n")
    each = meter.each("other")
    assert len(each) >= 2
    assert each == sorted(each, reverse=True)
    assert each[0] > 0.15


def test_the_ratio_is_of_neighbours_so_a_slow_moment_does_not_count_for_one_side_only() -> None:
    pairs = Pairs([a_run(2.0), a_run(20.0), a_run(4.0)], [a_run(1.0), a_run(10.0), a_run(1.0)])
    assert pairs.time_ratio == Spread(2.0, 2.0, 4.0)


def test_the_cpu_and_memory_of_a_child_are_measured() -> None:
    run = in_child(busy, 0.3, 200 << 20)
    assert run.seconds == 0.3
    assert 0.25 < run.cpu["other"] < 2
    assert run.peak > 200 << 20
    assert run.facts == {"kept": float(200 << 20)}


def test_a_process_that_is_gone_has_no_family() -> None:
    assert family(2**22 + 1) == []


def test_a_meter_tells_only_what_was_used_meanwhile() -> None:
    busy(0.1, 1)
    with Meter(os.getpid()) as meter:
        pass
    run = meter.run(Timed(0.0))
    assert sum(run.cpu.values()) < 0.1
    assert run.peak > 1 << 20


def test_what_goes_wrong_in_a_child_comes_out() -> None:
    with pytest.raises(TypeError):
        in_child(busy, "no number", 1)


def test_a_process_that_ends_while_it_is_looked_at_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(process: psutil.Process) -> str:
        raise psutil.NoSuchProcess(process.pid)

    monkeypatch.setattr(measure, "_role", ended)
    with Meter(os.getpid()) as meter:
        pass
    assert meter.run(Timed(0.0)).cpu == {}
