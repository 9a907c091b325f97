"""What is done every few seconds."""

import asyncio
import logging

import pytest

from caravan.every import every


async def _until(done: list[int], count: int) -> None:
    async with asyncio.timeout(5):
        while len(done) < count:  # noqa: ASYNC110 - what is tested knows of no event
            await asyncio.sleep(0)


async def test_work_is_repeated_as_long_as_the_block_lasts_and_not_after() -> None:
    done = list[int]()

    async def work() -> None:
        done.append(1)

    async with every(0.001, work, "count"):
        assert not done
        await _until(done, 3)
    before = len(done)
    await asyncio.sleep(0.02)
    assert len(done) == before


async def test_work_at_once_comes_before_the_first_pause() -> None:
    done = list[int]()

    async def work() -> None:
        done.append(1)

    async with every(3600, work, "count", at_once=True):
        await _until(done, 1)


async def test_work_that_fails_is_logged_and_done_again(caplog: pytest.LogCaptureFixture) -> None:
    done = list[int]()

    async def work() -> None:
        done.append(1)
        raise ValueError("no luck")

    with caplog.at_level(logging.WARNING):
        async with every(0.001, work, "count the sheep"):
            await _until(done, 2)
    assert caplog.messages[0] == "Can't count the sheep just now: no luck"


async def test_work_never_runs_twice_at_a_time_and_has_ended_with_the_block() -> None:
    running, most = 0, 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(0.01)
        finally:
            running -= 1

    async with every(0, work, "work"):
        await asyncio.sleep(0.05)
    assert (running, most) == (0, 1)
