"""Calls that arrive together are done together, and each gets its own answer."""

import asyncio
from collections.abc import Sequence

import pytest
from structlog.contextvars import bound_contextvars, get_contextvars

from caravan.engine.groups import Groups


class Work:
    """Doubles numbers; an odd one makes a whole group fail, and a negative one gets an error of its own."""

    def __init__(self) -> None:
        self.groups = list[list[int]]()
        self.away = False

    async def do(self, calls: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(calls))
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionError("the database is away")
        if any(call % 2 for call in calls):
            raise ValueError("an odd number")
        return [LookupError(call) if call < 0 else 2 * call for call in calls]


def _groups(work: Work, largest: int = 500) -> Groups[int, int]:
    return Groups[int, int](work.do, lambda error: isinstance(error, ConnectionError), largest)


async def test_what_arrives_while_a_group_is_under_way_is_the_next_one() -> None:
    work = Work()
    groups = _groups(work)
    assert await asyncio.gather(*(groups.ask(2 * n) for n in range(20))) == [4 * n for n in range(20)]
    assert work.groups == [[2 * n for n in range(20)]]
    first = asyncio.create_task(groups.ask(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await asyncio.gather(first, groups.ask(4), groups.ask(6)) == [4, 8, 12]
    assert work.groups[1:] == [[2], [4, 6]]


async def test_a_group_has_no_more_calls_than_it_may() -> None:
    work = Work()
    groups = _groups(work, largest=3)
    await asyncio.gather(*(groups.ask(2 * n) for n in range(8)))
    assert [len(group) for group in work.groups] == [3, 3, 2]


async def test_each_call_gets_its_own_error() -> None:
    work = Work()
    groups = _groups(work)
    answers = await asyncio.gather(*(groups.ask(n) for n in (2, -2, 3, 4)), return_exceptions=True)
    assert (answers[0], answers[3]) == (4, 8)
    assert [type(answer) for answer in answers[1:3]] == [LookupError, ValueError]
    assert work.groups == [[2, -2, 3, 4], [2], [-2], [3], [4]]


async def test_what_would_meet_each_call_alone_is_not_tried_again() -> None:
    work = Work()
    work.away = True
    groups = _groups(work)
    answers = await asyncio.gather(*(groups.ask(n) for n in (2, 4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ConnectionError, ConnectionError]
    assert len(work.groups) == 1
    work.away = False
    assert await groups.ask(2) == 4


async def test_a_caller_that_goes_away_takes_no_answer_from_others() -> None:
    groups = _groups(Work())
    leaving, staying = asyncio.create_task(groups.ask(2)), asyncio.create_task(groups.ask(4))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 8
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_what_is_logged_of_a_group_belongs_to_none_of_its_calls() -> None:
    """Else lines about all of them would have the first one's id."""
    seen: list[dict[str, object]] = []

    async def work(calls: Sequence[int]) -> Sequence[int | Exception]:
        seen.append(get_contextvars())
        return calls

    groups: Groups[int, int] = Groups(work, lambda error: False)
    with bound_contextvars(request="first"):
        assert await groups.ask(1) == 1
    assert seen == [{}]
