"""Chaos in short: `script/chaos` is the long form."""

from pathlib import Path

import pytest

from tests.acceptance.chaos.plan import KILLS, STORE_WEIGHTS, Kind, plan
from tests.acceptance.chaos.runner import Options, run

#: Its plan kills a worker twice, PostgreSQL and the API, and takes the relay and the webhook's host away.
_SEED = 188
#: Its plan, with an S3, makes the store slow, cuts it twice and lets it answer 500 now and then, and meanwhile kills
#: the API, a worker and PostgreSQL: all within eight seconds.
_S3_SEED = 7431
#: Its plan kills workers and the API, pauses the batch, and then cancels it while it is sent, just after a kill.
_CANCEL_SEED = 210_468


def test_whatever_is_killed_nobody_is_lost_and_nobody_gets_it_twice(tmp_path: Path) -> None:
    options = Options(_SEED, minutes=0.2, every=1.2, rows=4_000, travellers=1, batches=1)
    figures, disturber = run(options, tmp_path)
    assert figures.batches == 1
    assert disturber.done.total() >= 3
    assert figures.found.sent > figures.found.unknown


@pytest.mark.long
def test_a_store_that_is_cut_among_kills_loses_nobody_either(tmp_path: Path) -> None:
    options = Options(_S3_SEED, minutes=0.2, every=1, rows=4_000, travellers=1, batches=1, store="s3", uploads="direct")
    figures, disturber = run(options, tmp_path)
    assert figures.batches == figures.direct == 1
    assert disturber.done[Kind.CUT_STORE] >= 1
    assert sum(disturber.done[kind] for kind in KILLS) >= 2
    assert figures.found.sent > figures.found.unknown


@pytest.mark.long
def test_a_recall_among_kills_says_exactly_who_was_reached(tmp_path: Path) -> None:
    options = Options(_CANCEL_SEED, minutes=0.2, every=1, rows=60_000, travellers=1, batches=1)
    figures, disturber = run(options, tmp_path)
    assert figures.batches == figures.cancelled == disturber.done[Kind.CANCEL] == 1
    assert disturber.done[Kind.KILL_WORKER] >= 2
    assert figures.silences >= 1


def test_a_seed_gives_the_same_plan_again_and_another_seed_another() -> None:
    first, same, other = (list(plan(seed, minutes=30, every=2, s3=True)) for seed in (1, 1, 2))
    assert first == same != other
    assert {each.kind for each in first} == set(Kind)
    assert not {each.kind for each in plan(1, minutes=30, every=2, s3=False)} & set(STORE_WEIGHTS)
