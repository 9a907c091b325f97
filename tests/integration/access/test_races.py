"""What happens at the same moment in several processes."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from caravan.access.sessions import sign_in
from caravan.access.users import Role, add_user
from caravan.errors import SignInRefused, TooManyAttempts
from caravan.settings import Settings
from caravan.store import sessions, users
from caravan.store.database import rows
from tests.integration.conftest import System, open_house

ANNA = "anna@example.com"


async def test_a_session_that_opens_while_the_password_changes_does_not_outlive_the_old_one(
    idle_system: System,
) -> None:
    pool, now = idle_system.engine.pool, idle_system.clock.now()
    async with pool.connection() as connection:
        await add_user(connection, ANNA, idle_system.customer, Role.EDITOR)
        known = await users.credentials(connection, ANNA)
    assert known is not None

    async def change() -> None:
        async with pool.connection() as connection:
            assert await users.set_password(connection, known.id, "other", must_change=False, known=known.password)
            await sessions.delete_sessions_of(connection, known.id)

    async with pool.connection() as opening:
        assert await sessions.add_session(opening, b"digest", known.id, known.password, now)
        changing = asyncio.create_task(change())
        await asyncio.wait([changing], timeout=0.5)
    await changing
    async with pool.connection() as connection:
        assert await rows(connection, "select * from sessions") == []
        assert not await sessions.add_session(connection, b"digest", known.id, known.password, now)


async def test_wrong_passwords_in_one_process_slow_the_user_in_another(settings: Settings, idle_system: System) -> None:
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(open_house(settings, idle_system.sandbox))
        async with idle_system.engine.pool.connection() as connection:
            password = await add_user(connection, ANNA, idle_system.customer, Role.EDITOR)
        assert password is not None
        for count in range(5):
            with pytest.raises(SignInRefused):
                await sign_in((idle_system, other)[count % 2].engine, ANNA, "wrong", f"192.0.2.{count}")
        for system in (idle_system, other):
            with pytest.raises(TooManyAttempts):
                await sign_in(system.engine, ANNA, password, "198.51.100.1")
        other.clock.turn(timedelta(seconds=60))
        assert await sign_in(other.engine, ANNA, password, "198.51.100.1")
