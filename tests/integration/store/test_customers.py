"""Customers and tokens."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from caravan.errors import Conflict, InvalidInput
from caravan.store.customers import (
    add_customer,
    create_token,
    first_customer,
    get_token,
    list_tokens,
    revoke_token,
    shared_secret,
)
from caravan.store.database import Pool, rows

NOW = datetime(2026, 11, 23, tzinfo=UTC)


async def test_a_token_opens_its_own_customer_only(pool: Pool) -> None:
    async with pool.connection() as connection:
        ours = await add_customer(connection, "ours", NOW)
        theirs = await add_customer(connection, "theirs", NOW)
        token = await create_token(connection, ours, "nightly", NOW)
        assert await get_token(connection, ours, token) is not None
        assert not await get_token(connection, theirs, token)


async def test_a_token_that_is_changed_or_odd_opens_nothing(pool: Pool) -> None:
    async with pool.connection() as connection:
        customer = await add_customer(connection, "ours", NOW)
        token = await create_token(connection, customer, "nightly", NOW)
        for odd in (token[:-1], token + "x", token.replace("crv", "abc"), "", "crv", "crv__", "crv_\0_x", "é" * 20):
            assert not await get_token(connection, customer, odd), odd


async def test_the_secret_of_a_token_is_not_stored(pool: Pool) -> None:
    async with pool.connection() as connection:
        customer = await add_customer(connection, "ours", NOW)
        token = await create_token(connection, customer, "nightly", NOW)
        stored = str(await rows(connection, "select * from tokens"))
    assert token.rpartition("_")[2] not in stored


async def test_the_first_customer_is_the_oldest(pool: Pool) -> None:
    async with pool.connection() as connection:
        assert await first_customer(connection) is None
        number = await add_customer(connection, "first", NOW)
        await add_customer(connection, "second", NOW)
        found = await first_customer(connection)
    assert found is not None
    assert (found.id, found.name) == (number, "first")


async def test_a_shared_secret_stays_what_it_was(pool: Pool) -> None:
    async with pool.connection() as connection:
        first = await shared_secret(connection, "upload")
        assert await shared_secret(connection, "upload") == first
        assert await shared_secret(connection, "other") != first


async def test_a_name_is_taken_once_in_whatever_case_also_at_the_same_moment(pool: Pool) -> None:
    async def add(name: str) -> int | None:
        async with pool.connection() as connection:
            try:
                return await add_customer(connection, name, NOW)
            except Conflict:
                return None

    added = await asyncio.gather(*map(add, ["Shop", "shop", " Shop ", "SHOP", "Other"]))
    assert sum(each is not None for each in added) == 2, added
    async with pool.connection() as connection:
        with pytest.raises(InvalidInput, match="needs a name"):
            await add_customer(connection, "  ", NOW)


async def test_a_revoked_token_opens_nothing_whether_named_by_its_id_or_whole(pool: Pool) -> None:
    async with pool.connection() as connection:
        customer = await add_customer(connection, "ours", NOW)
        tokens = [
            await create_token(connection, customer, name, NOW + timedelta(seconds=number))
            for number, name in enumerate(("one", "two", "three"))
        ]
        assert [each.name for each in await list_tokens(connection, customer)] == ["one", "two", "three"]
        assert await list_tokens(connection, customer + 1) == []
        for named in (tokens[0], tokens[1].split("_")[1]):
            found = await revoke_token(connection, named)
            assert found is not None
        assert await revoke_token(connection, tokens[0]) is None
        assert [await get_token(connection, customer, each) is not None for each in tokens] == [False, False, True]
        assert [each.name for each in await list_tokens(connection)] == ["three"]
