"""A stream ends with its session, and one query asks for all streams of a process."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from caravan.access.open_sessions import OpenSessions
from caravan.access.users import Role, add_user, remove_user
from caravan.store.customers import add_customer
from tests.integration.conftest import System
from tests.integration.console.test_console import browser, signed_in, streamed


async def _signed_out(system: System, http: httpx.AsyncClient, email: str) -> None:
    async with browser(system.engine) as elsewhere:
        elsewhere.cookies = http.cookies
        await elsewhere.post("/console/sign-out")


async def _removed(system: System, http: httpx.AsyncClient, email: str) -> None:
    async with system.engine.pool.connection() as connection:
        await remove_user(connection, email, system.customer)


async def _moved(system: System, http: httpx.AsyncClient, email: str) -> None:
    """The session goes on, for another customer."""
    async with system.engine.pool.connection() as connection:
        other = await add_customer(connection, f"other {system.customer}", system.clock.now())
        await add_user(connection, email, other, Role.EDITOR)
        await remove_user(connection, email, system.customer)


async def _idle(system: System, http: httpx.AsyncClient, email: str) -> None:
    await system.turn(hours=13)


@pytest.mark.parametrize("lose", [_signed_out, _removed, _moved, _idle])
async def test_a_stream_ends_with_its_session_or_its_users_role(
    idle_system: System, lose: Callable[[System, httpx.AsyncClient, str], Awaitable[None]]
) -> None:
    system = idle_system
    async with browser(system.engine) as http:
        email = await signed_in(http, system)
        http._transport.app.state.open_sessions = watched = OpenSessions(system.engine, 0.05)  # type: ignore[attr-defined]
        loop = asyncio.get_running_loop()
        lost = 0.0

        async def enough(seen: list[dict[str, str]]) -> bool:
            nonlocal lost
            if not lost:
                lost = loop.time()
                await lose(system, http, email)
            return False

        await streamed(http, f"/console/{system.customer}/batches", enough)
        assert lost and loop.time() - lost < 5
        assert watched._task is None and not watched._watched


async def test_one_query_asks_for_all_streams_of_a_process_and_none_is_asked_without(idle_system: System) -> None:
    system = idle_system
    async with browser(system.engine) as http:
        await signed_in(http, system)
        http._transport.app.state.open_sessions = watched = OpenSessions(system.engine, 0.05)  # type: ignore[attr-defined]
        token = next(iter(http.cookies.values()))
        async with watched.watched(token, system.customer) as first, watched.watched(token, system.customer) as second:
            async with watched.watched(token, None), watched.watched("made up", None) as strange:
                await asyncio.wait_for(strange.wait(), 5)
                assert watched.looks == {3: 1}
            assert not first.is_set() and first is second
        looks = watched.looks.total()
        await asyncio.sleep(0.15)
        assert watched.looks.total() == looks
