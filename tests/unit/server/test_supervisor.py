"""Child processes that are kept running."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from caravan.errors import Unavailable
from caravan.server.supervisor import Process, RestartBackoff, StopSignal, Supervisor, how_it_ended


def _start(code: str) -> Process:
    return subprocess.Popen([sys.executable, "-S", "-c", code])


SLEEPS: Callable[[], Process] = partial(_start, "import time; time.sleep(60)")
ENDS: Callable[[], Process] = partial(_start, "raise SystemExit(3)")


def _until(supervisor: Supervisor, reached: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        supervisor.look()
        time.sleep(0.02)


def test_what_ends_again_and_again_is_started_ever_more_seldom_and_at_once_after_it_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr("caravan.server.supervisor.time.monotonic", lambda: now)
    backoff, starts = RestartBackoff(), list[float]()
    while now < 1_100:
        if backoff.is_time():
            starts.append(now)
        now += 0.5
    assert starts == [1_000, 1_001, 1_003, 1_007, 1_015, 1_030, 1_045, 1_060, 1_075, 1_090]
    now += 60
    assert backoff.is_time()
    assert not backoff.is_time()
    now += 1
    assert backoff.is_time()


def test_a_child_that_ends_is_started_again_and_the_others_are_left_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with Supervisor([("worker 1", SLEEPS), ("worker 2", SLEEPS)]) as supervisor:
        first, second = (child.process.pid for child in supervisor.children)
        os.kill(second, signal.SIGKILL)
        _until(supervisor, lambda: supervisor.children[1].process.pid != second)
        assert supervisor.children[1].process.poll() is None
        assert supervisor.children[0].process.pid == first
    assert capfd.readouterr().err == "caravan worker 2 was ended by SIGKILL; it starts again\n"


def test_a_child_that_ends_at_once_each_time_is_told_of_and_does_not_spin(capfd: pytest.CaptureFixture[str]) -> None:
    with Supervisor([("worker 1", ENDS)]) as supervisor:
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            supervisor.look()
            time.sleep(0.02)
    told = capfd.readouterr().err.splitlines()
    assert set(told) == {"caravan worker 1 ended with exit status 3; it starts again"}
    assert len(told) <= 3


def test_all_children_end_with_the_block_also_when_one_cannot_be_started() -> None:
    started = list[Process]()

    def start() -> Process:
        started.append(SLEEPS())
        return started[-1]

    def broken() -> Process:
        raise OSError("no more processes")

    with pytest.raises(OSError), Supervisor([("one", start), ("two", broken)]):
        pass
    assert [each.poll() for each in started] == [-signal.SIGTERM]


def test_a_child_that_ends_while_everything_starts_is_an_error() -> None:
    with Supervisor([("serve", ENDS)]) as supervisor:
        supervisor.children[0].process.wait(10)
        with pytest.raises(Unavailable, match="`caravan serve` ended with exit status 3"):
            supervisor.check()


@pytest.fixture
def stop() -> Iterator[StopSignal]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)}
    made = StopSignal()
    yield made
    made.close()
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_waiting_ends_when_a_child_does_and_when_it_is_time_to_stop(stop: StopSignal) -> None:
    begun = time.monotonic()
    child = ENDS()
    stop.wait(20)
    assert not stop.asked
    child.wait(10)
    os.kill(os.getpid(), signal.SIGTERM)
    while not stop.asked:
        stop.wait(20)
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit status 0"), (1, "exit status 1"), (-9, "by SIGKILL"), (-99, "by signal 99")]
)
def test_an_end_is_told_in_words(code: int, words: str) -> None:
    assert how_it_ended(code).endswith(words)
