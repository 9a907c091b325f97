"""A transfer from which too little comes is known by that."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from caravan.intake.pace import StoodStill, paced


async def _chunks(*sizes: int, pause: float = 0.0) -> AsyncIterator[bytes]:
    for size in sizes:
        await asyncio.sleep(pause)
        yield bytes(size)


async def test_what_comes_fast_enough_comes_whole() -> None:
    sizes = [50, 3, 70_000, 50]
    assert [len(chunk) async for chunk in paced(_chunks(*sizes, pause=0.01), 5, 0.001)] == sizes


async def test_silence_ends_it() -> None:
    with pytest.raises(StoodStill, match=r"nothing came for 0\.05 seconds"):
        [chunk async for chunk in paced(_chunks(1_000_000, pause=1), 0.05, 60)]


async def test_a_drip_ends_it_once_the_stretch_is_over() -> None:
    came = 0
    with pytest.raises(StoodStill, match="nearly still"):
        async for chunk in paced(_chunks(*[1] * 1_000, pause=0.01), 5, 0.2):
            came += len(chunk)
    assert 2 < came <= 20


async def test_the_time_that_we_need_ourselves_does_not_count() -> None:
    came = 0
    async for chunk in paced(_chunks(*[1] * 5), 0.02, 0.02):
        await asyncio.sleep(0.05)
        came += len(chunk)
    assert came == 5
