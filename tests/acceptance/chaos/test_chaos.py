"""Chaos in short: `script/chaos` is the long form."""

from pathlib import Path

from tests.acceptance.chaos.plan import Kind, plan
from tests.acceptance.chaos.runner import Options, run

#: Its plan kills a worker twice, PostgreSQL and the API, and takes the relay and the webhook's host away.
_SEED = 216


def test_whatever_is_killed_nobody_is_lost_and_nobody_gets_it_twice(tmp_path: Path) -> None:
    options = Options(_SEED, minutes=0.2, every=1.2, rows=4_000, travellers=1, batches=1)
    figures, disturber = run(options, tmp_path)
    assert figures.batches == 1
    assert disturber.done.total() >= 3
    assert figures.found.sent > figures.found.unknown


def test_a_seed_gives_the_same_plan_again_and_another_seed_another() -> None:
    first, same, other = (list(plan(seed, minutes=30, every=2, s3=True)) for seed in (1, 1, 2))
    assert first == same != other
    assert {each.kind for each in first} == set(Kind)
