"""Who may manage whom, and the lines of the audit log."""

import asyncio

import pytest

from caravan.access import management, sessions, users
from caravan.access.audit import Actor, ActorKind, entries
from caravan.access.management import Manager
from caravan.access.users import Role, add_user, users_of
from caravan.errors import CaravanError, Conflict, Forbidden, InvalidInput, NotFound
from caravan.store.customers import add_customer, get_token
from tests.integration.conftest import System

OPERATOR = Manager(Actor(ActorKind.COMMAND, "root", None), None)


def owner(*customers: int) -> Manager:
    return Manager(Actor(ActorKind.USER, "owner@example.com", customers[0], "192.0.2.1"), frozenset(customers))


async def other_customer(system: System) -> int:
    async with system.engine.pool.connection() as connection:
        return await add_customer(connection, f"other {system.customer}", system.clock.now())


async def roles(system: System, customer: int) -> dict[str, Role]:
    async with system.engine.pool.connection() as connection:
        return {each.email: each.role for each in await users_of(connection, customer) if not each.is_operator}


async def test_each_act_is_in_the_log_with_who_did_it(idle_system: System) -> None:
    customer, mine = idle_system.customer, owner(idle_system.customer)
    async with idle_system.engine.pool.connection() as connection:
        assert await management.give_role(connection, mine, " Anna@Example.com", customer, Role.VIEWER)
        assert await management.give_role(connection, mine, "anna@example.com", customer, Role.EDITOR) is None
        await management.reset_password(connection, mine, "anna@example.com")
        await management.end_sessions(connection, mine, "anna@example.com")
        await management.take_role(connection, mine, "anna@example.com", customer)
        token = await management.create_token(connection, mine, customer, "  nightly   job ", idle_system.clock)
        made = await get_token(connection, customer, token)
        assert made is not None and (made.name, made.created_by) == ("nightly job", "owner@example.com")
        await management.revoke_token(connection, mine, made.id, customer)
        found = (await entries(connection, customer))[::-1]
    assert [(each.act, each.subject, each.detail) for each in found] == [
        ("add_user", "user anna@example.com", {"role": "viewer"}),
        ("set_role", "user anna@example.com", {"role": "editor"}),
        ("reset_password", "user anna@example.com", None),
        ("end_sessions", "user anna@example.com", None),
        ("remove_user", "user anna@example.com", None),
        ("create_token", f"token {made.id}", {"name": "nightly job"}),
        ("revoke_token", f"token {made.id}", {"name": "nightly job"}),
    ]
    assert {each.actor for each in found} == {mine.actor}


async def test_an_owner_does_not_reach_a_user_that_another_customer_has_too(idle_system: System) -> None:
    """Who could reset that user's password would get at the other customer's contacts."""
    customer, other = idle_system.customer, await other_customer(idle_system)
    mine = owner(customer)
    async with idle_system.engine.pool.connection() as connection:
        await add_user(connection, "ceo@example.com", other, Role.OWNER)
        await add_user(connection, "both@example.com", other, Role.VIEWER)
        await add_user(connection, "both@example.com", customer, Role.VIEWER)
        with pytest.raises(Forbidden, match="ask the operator"):
            await management.give_role(connection, mine, "ceo@example.com", customer, Role.VIEWER)
        for act in (management.reset_password, management.end_sessions):
            for email in ("ceo@example.com", "both@example.com"):
                with pytest.raises(Forbidden, match="ask the operator"):
                    await act(connection, mine, email)
        assert await management.reset_password(connection, owner(customer, other), "both@example.com")
        assert await management.reset_password(connection, OPERATOR, "ceo@example.com")
        assert await management.give_role(connection, OPERATOR, "ceo@example.com", customer, Role.VIEWER) is None
        await management.take_role(connection, mine, "both@example.com", customer)
    assert await roles(idle_system, customer) == {"ceo@example.com": Role.VIEWER}
    assert await roles(idle_system, other) == {"ceo@example.com": Role.OWNER, "both@example.com": Role.VIEWER}


async def test_an_owner_does_not_reach_the_operator(idle_system: System) -> None:
    customer = idle_system.customer
    async with idle_system.engine.pool.connection() as connection:
        async with connection.transaction():
            assert await users.store.add_user(
                connection, "boss@localhost", "$argon2id$", idle_system.clock.now(), operator=True
            )
        for work in (
            management.reset_password(connection, owner(customer), "boss@localhost"),
            management.end_sessions(connection, owner(customer), "boss@localhost"),
        ):
            with pytest.raises(Forbidden):
                await work
        for work in (
            management.give_role(connection, owner(customer), "boss@localhost", customer, Role.VIEWER),
            management.take_role(connection, owner(customer), "boss@localhost", customer),
        ):
            with pytest.raises(Conflict):
                await work  # type: ignore[misc]
        assert await management.reset_password(connection, OPERATOR, "boss@localhost")


async def test_the_last_owner_stays_whatever_owners_do_at_once(idle_system: System) -> None:
    customer, pool = idle_system.customer, idle_system.engine.pool
    everyone = ["a@example.com", "b@example.com", "c@example.com"]
    async with pool.connection() as connection:
        for each in everyone:
            await add_user(connection, each, customer, Role.OWNER)

    async def leave(email: str, *, remove: bool) -> None:
        async with pool.connection() as connection:
            if remove:
                await management.take_role(connection, owner(customer), email, customer)
            else:
                await management.give_role(connection, owner(customer), email, customer, Role.VIEWER)

    tried = [leave(each, remove=number != 1) for number, each in enumerate(everyone)]
    done = await asyncio.gather(*tried, return_exceptions=True)
    assert [type(each) for each in done if each] == [Forbidden]
    assert list((await roles(idle_system, customer)).values()).count(Role.OWNER) == 1
    (last,) = [email for email, role in (await roles(idle_system, customer)).items() if role is Role.OWNER]
    async with pool.connection() as connection:
        await management.take_role(connection, OPERATOR, last, customer)
    assert Role.OWNER not in (await roles(idle_system, customer)).values()


async def test_a_token_of_another_customer_is_not_there_to_be_revoked(idle_system: System) -> None:
    customer, other = idle_system.customer, await other_customer(idle_system)
    async with idle_system.engine.pool.connection() as connection:
        token = await management.create_token(connection, OPERATOR, other, "theirs", idle_system.clock)
        for named in (token, token.split("_")[1], "nonsense", "crv_", ""):
            with pytest.raises(NotFound):
                await management.revoke_token(connection, owner(customer), named, customer)
        assert await get_token(connection, other, token) is not None


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\x1bb", "a\u202eb"])
async def test_a_token_needs_a_name_that_can_be_read(idle_system: System, name: str) -> None:
    async with idle_system.engine.pool.connection() as connection:
        with pytest.raises(InvalidInput, match="needs a name"):
            await management.create_token(connection, OPERATOR, idle_system.customer, name, idle_system.clock)
        with pytest.raises(NotFound):
            await management.create_token(connection, OPERATOR, 10**9, "fine", idle_system.clock)


async def test_a_user_that_is_signed_out_everywhere_has_no_session_left(idle_system: System) -> None:
    engine, customer = idle_system.engine, idle_system.customer
    async with engine.pool.connection() as connection:
        first = await add_user(connection, "anna@example.com", customer, Role.EDITOR)
    assert first is not None
    opened = [await sessions.sign_in(engine, "anna@example.com", first, "192.0.2.7") for _ in range(2)]
    async with engine.pool.connection() as connection:
        await management.end_sessions(connection, owner(customer), "anna@example.com")
        with pytest.raises(NotFound):
            await management.end_sessions(connection, OPERATOR, "nobody@example.com")
        found = await entries(connection, None, limit=3)
    assert [await sessions.visitor_of(engine, each) for each in opened] == [None, None]
    assert [(each.act, each.actor.address) for each in found[1:]] == [("sign_in", "192.0.2.7")] * 2


async def test_what_is_refused_leaves_no_line(idle_system: System) -> None:
    customer = idle_system.customer
    async with idle_system.engine.pool.connection() as connection:
        await add_user(connection, "only@example.com", customer, Role.OWNER)
        with pytest.raises(CaravanError):
            await management.take_role(connection, owner(customer), "only@example.com", customer)
        with pytest.raises(InvalidInput):
            await management.give_role(connection, owner(customer), "no address", customer, Role.VIEWER)
        assert await entries(connection, customer) == []
