"""Places of a channel go to the cohorts in turn."""

import asyncio
import random

from caravan.delivery.places import LINE, Places


async def _take(places: Places, line: int, took: list[int]) -> None:
    LINE.set(line)
    async with places:
        took.append(line)
        await asyncio.sleep(0)


async def test_a_single_message_waits_for_no_whole_window_of_others() -> None:
    places, took = Places(2), list[int]()
    tasks = [asyncio.create_task(_take(places, line, took)) for line in [1] * 50 + [2] * 50 + [3]]
    await asyncio.gather(*tasks)
    assert took.index(3) < 10
    assert [took.count(line) for line in (1, 2, 3)] == [50, 50, 1]
    assert abs(took[:40].count(1) - took[:40].count(2)) < 5


async def test_no_place_is_lost_nor_taken_twice_whoever_is_cancelled() -> None:
    chance, places, inside, most = random.Random(7), Places(3), 0, 0

    async def stay(line: int) -> None:
        nonlocal inside, most
        LINE.set(line)
        async with places:
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(chance.random() / 1000)
            finally:
                inside -= 1

    for _ in range(30):
        tasks = [asyncio.create_task(stay(chance.randrange(5))) for _ in range(30)]
        for _ in range(5):
            await asyncio.sleep(chance.random() / 1000)
            chance.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert (inside, most) == (0, 3)
    async with asyncio.timeout(1):
        await asyncio.gather(*(stay(1) for _ in range(10)))
    assert places._free == 3
