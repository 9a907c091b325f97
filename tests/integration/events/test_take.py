"""Events are taken once, counted where they answer a delivery, and forgotten by the day."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from caravan.events.event import Event, Origin
from caravan.events.take import Taken, take
from caravan.queries.came_back import came_back
from caravan.store import events as stored
from caravan.store.customers import add_customer
from caravan.store.database import Connection, Pool, row, rows

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
BATCH = "b_0123456789abcdef0123"


@pytest.fixture
async def customer(pool: Pool) -> int:
    async with pool.connection() as connection:
        return await add_customer(connection, "events", NOW)


async def _names(connection: Connection, customer: int, contact: str) -> list[str]:
    return [each.name for each in await stored.of_contact(connection, customer, contact, limit=100)]


async def test_an_event_comes_back_as_it_was(pool: Pool, customer: int) -> None:
    odd = {"total": 12.5, "deep": {"tags": ["ö", "\0", "<b>"]}, "none": None}
    event = Event("anna", "purchase", NOW, odd, "shop", "k1", Origin(BATCH, "mail", 3, 1_000_000))
    async with pool.connection() as connection:
        assert await take(connection, customer, [event]) == Taken(1, 0)
        (found,) = await stored.of_contact(connection, customer, "anna", limit=10)
    assert json.loads(found.properties) == odd
    assert (found.name, found.at, found.source, found.key) == ("purchase", NOW, "shop", "k1")
    assert (found.batch_id, found.step, found.visit, found.line) == (BATCH, "mail", 3, 1_000_000)


async def test_the_same_source_and_key_count_once(pool: Pool, customer: int) -> None:
    first, other = Event("a", "opened", NOW, key="k"), Event("a", "opened", NOW, source="email:open", key="k")
    async with pool.connection() as connection:
        assert await take(connection, customer, [first, other, first]) == Taken(2, 1)
    async with pool.connection() as connection:
        assert await take(connection, customer, [first, other]) == Taken(0, 2)
        assert await take(connection, customer, [Event("a", "opened", NOW)] * 2) == Taken(2, 0)
        assert len(await _names(connection, customer, "a")) == 4


async def test_a_key_of_another_customer_is_another(pool: Pool, customer: int) -> None:
    event = Event("a", "opened", NOW, key="k")
    async with pool.connection() as connection:
        other = await add_customer(connection, "other", NOW)
        assert await take(connection, customer, [event]) == Taken(1, 0)
        assert await take(connection, other, [event]) == Taken(1, 0)
        assert await _names(connection, other, "a") == ["opened"]


async def test_of_many_at_once_with_the_same_keys_each_key_is_taken_once(pool: Pool, customer: int) -> None:
    wanted = [Event("a", "opened", NOW, key=f"k{number}") for number in range(50)]

    async def report(turn: int) -> int:
        order = wanted[turn:] + wanted[:turn]
        async with pool.connection() as connection:
            return (await take(connection, customer, order)).taken

    assert sum(await asyncio.gather(*(report(turn) for turn in range(8)))) == 50
    async with pool.connection() as connection:
        assert len(await _names(connection, customer, "a")) == 50


async def test_what_is_rolled_back_was_never_taken(pool: Pool, customer: int) -> None:
    event = Event("a", "opened", NOW, key="k", origin=Origin(BATCH, "undone", 0, 1))
    with pytest.raises(RuntimeError):
        async with pool.connection() as connection, connection.transaction():
            await take(connection, customer, [event])
            raise RuntimeError
    async with pool.connection() as connection:
        assert "undone" not in await came_back(connection, BATCH)
        assert await take(connection, customer, [event]) == Taken(1, 0)


async def test_a_batch_counts_what_came_back_by_step(pool: Pool, customer: int) -> None:
    batch = "b_00000000000000000001"
    mail, text = Origin(batch, "mail", 0, 1), Origin(batch, "text", 1, 1)
    events = [Event("a", "opened", NOW, key="1", origin=mail), Event("b", "opened", NOW, origin=mail)]
    events += [Event("a", "clicked", NOW, origin=text), Event("a", "opened", NOW, key="1", origin=mail)]
    events += [Event("a", "purchase", NOW)]
    async with pool.connection() as connection:
        await take(connection, customer, events)
        await take(connection, customer, events)
        assert await came_back(connection, batch) == {"mail": {"opened": 3}, "text": {"clicked": 2}}


async def _day(connection: Connection, name: str) -> str | None:
    found = await row(connection, "select to_regclass(%(name)s)::text as name", name=name)
    assert found is not None
    return found["name"]


async def test_forgetting_drops_days_and_their_keys(pool: Pool, customer: int) -> None:
    today = datetime.now(UTC).date()
    old = f"events_{today - timedelta(days=8):%Y%m%d}"
    kept = f"events_{today - timedelta(days=7):%Y%m%d}"
    async with pool.connection() as connection:
        await stored.make_partitions(connection, 3)
        await stored.make_partitions(connection, 3)
        assert await _day(connection, f"events_{today + timedelta(days=3):%Y%m%d}")
        await connection.execute("select make_event_partitions(%s, %s)", (today - timedelta(8), today - timedelta(7)))
        assert await take(connection, customer, [Event("old", "opened", NOW, key="k")]) == Taken(1, 0)
        await connection.execute(
            "update events set taken_at = taken_at - interval '8 days' where customer_id = %s", (customer,)
        )
        await connection.execute("update event_keys set taken_on = taken_on - 8 where customer_id = %s", (customer,))
        await take(connection, customer, [Event("new", "opened", NOW, key="n")])
    async with pool.connection() as connection:
        assert await _names(connection, customer, "old") == ["opened"]
        await stored.drop_outlived(connection, 7)
        while await stored.forget_keys(connection, 7):
            pass
        assert await _day(connection, old) is None
        assert await _day(connection, kept) is not None
        assert await _names(connection, customer, "old") == []
        assert await _names(connection, customer, "new") == ["opened"]
        again = [Event("old", "opened", NOW, key="k"), Event("new", "opened", NOW, key="n")]
        assert await take(connection, customer, again) == Taken(1, 1)


async def test_a_day_of_which_events_lie_elsewhere_stays_without_partition(pool: Pool, customer: int) -> None:
    day = datetime.now(UTC).date() + timedelta(days=30)
    async with pool.connection() as connection:
        await take(connection, customer, [Event("late", "opened", NOW)])
        await connection.execute(
            "update events set taken_at = %s where customer_id = %s and contact = 'late'", (day, customer)
        )
        await connection.execute("select make_event_partitions(%s, %s)", (day, day))
        assert await _day(connection, f"events_{day:%Y%m%d}") is None
        assert await _names(connection, customer, "late") == ["opened"]


async def test_the_events_of_a_removed_customer_go(pool: Pool, customer: int) -> None:
    async with pool.connection() as connection:
        await take(connection, customer, [Event("a", "opened", NOW, key="k")])
        await stored.forget_customer(connection, customer)
        assert await _names(connection, customer, "a") == []
        assert await rows(connection, "select 1 as one from event_keys where customer_id = %(c)s", c=customer) == []
