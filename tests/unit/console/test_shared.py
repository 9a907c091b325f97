"""Fragments are rendered once for all who watch the same thing."""

import asyncio

import pytest

from caravan.console.page import Fragments
from caravan.console.shared import Shared


class Maker:
    """Counts how often it makes something, and takes its time."""

    def __init__(self) -> None:
        self.made = 0
        self.go = asyncio.Event()

    async def __call__(self) -> Fragments:
        self.made += 1
        await self.go.wait()
        return {"part": f"<p id=part>{self.made}</p>"}


async def test_what_is_made_of_a_value_is_made_once_for_all() -> None:
    shared, make, value = Shared(), Maker(), object()
    asked = [asyncio.create_task(shared.of("key", value, make)) for _ in range(5)]
    await asyncio.sleep(0)
    asked[0].cancel()  # who asked first goes away
    await asyncio.sleep(0)
    make.go.set()
    assert await asyncio.gather(*asked[1:]) == [{"part": "<p id=part>1</p>"}] * 4
    assert await shared.of("key", object(), make) == {"part": "<p id=part>2</p>"}
    assert await shared.of("other key", value, make) == {"part": "<p id=part>3</p>"}


async def test_what_fails_fails_for_all_and_is_tried_again_with_the_next_value() -> None:
    shared, value = Shared(), object()

    async def fail() -> Fragments:
        raise OSError("the store is away")

    for _ in range(2):
        with pytest.raises(OSError, match="away"):
            await shared.of("key", value, fail)
    make = Maker()
    make.go.set()
    assert await shared.of("key", object(), make) == {"part": "<p id=part>1</p>"}


async def test_only_so_many_things_are_kept() -> None:
    shared, make = Shared(), Maker()
    make.go.set()
    first = object()
    await shared.of(0, first, make)
    for number in range(1, 300):
        await shared.of(number, object(), make)
    await shared.of(0, first, make)
    assert make.made == 301
