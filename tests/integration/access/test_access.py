"""Users, sessions, attempts to sign in, and the audit log, on a real database."""

import asyncio
from datetime import timedelta

import psycopg
import pytest

from caravan.access import audit, users
from caravan.access.audit import Actor, ActorKind
from caravan.access.sessions import change_password, sign_in, sign_out, visitor_of
from caravan.access.users import Role, add_user, first_user, remove_user, reset_password, users_of
from caravan.engine.removal import remove_customer
from caravan.errors import Conflict, InvalidInput, NotFound, SignInRefused, TooManyAttempts
from caravan.store.customers import add_customer
from tests.integration.conftest import System

ADDRESS = "192.0.2.1"
NEW = "nine horses, ten batteries"


async def _add(system: System, email: str = "anna@example.com", role: Role = Role.EDITOR) -> str:
    async with system.engine.pool.connection() as connection:
        password = await add_user(connection, email, system.customer, role)
    assert password is not None
    return password


async def _another_customer(system: System) -> int:
    async with system.engine.pool.connection() as connection:
        return await add_customer(connection, "Another", system.engine.clock.now())


async def test_a_session_tells_who_it_is_and_what_they_may_do_for_which_customer(idle_system: System) -> None:
    password = await _add(idle_system)
    other = await _another_customer(idle_system)
    async with idle_system.engine.pool.connection() as connection:
        assert await add_user(connection, "Anna@Example.com ", other, Role.VIEWER) is None  # has a password already
    visitor = await visitor_of(idle_system.engine, await sign_in(idle_system.engine, "ANNA@example.com", password, ""))
    assert visitor is not None
    assert visitor.roles == {idle_system.customer: Role.EDITOR, other: Role.VIEWER}
    assert visitor.names[other] == "Another"
    assert (visitor.is_operator, visitor.must_change_password) == (False, True)


async def test_what_is_stored_opens_nothing(idle_system: System) -> None:
    """A copy of the database holds neither passwords nor tokens of sessions."""
    password = await _add(idle_system)
    token = await sign_in(idle_system.engine, "anna@example.com", password, ADDRESS)
    async with idle_system.engine.pool.connection() as connection:
        for table in ("users", "sessions", "sign_in_failures", "audit"):
            found = await (await connection.execute(f"select t::text as row from {table} t")).fetchall()  # type: ignore[arg-type]
            text = str(found)
            assert password not in text
            assert token not in text
            assert token.encode().hex() not in text
    assert await visitor_of(idle_system.engine, token) is not None


@pytest.mark.parametrize("wrong", ["", "x", "x" * 10_000, "\x00", "\ud800"])
@pytest.mark.parametrize("email", ["anna@example.com", "nobody@example.com", "no address", "\x00", "a@\ud800"])
async def test_a_wrong_password_and_an_unknown_user_are_told_the_same(
    idle_system: System, email: str, wrong: str
) -> None:
    await _add(idle_system)
    with pytest.raises(SignInRefused) as refused:
        await sign_in(idle_system.engine, email, wrong, ADDRESS)
    assert refused.value.message == "No user has this e-mail address and this password."


async def test_a_hash_is_verified_for_an_unknown_user_too(idle_system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the time of the answer would tell who is a user."""
    from caravan.access import sessions

    verified: list[str | None] = []
    real = sessions.is_password

    async def is_password(known: str | None, password: str) -> bool:
        verified.append(known)
        return await real(known, password)

    monkeypatch.setattr(sessions, "is_password", is_password)
    for email in ("nobody@example.com", "no address"):
        with pytest.raises(SignInRefused):
            await sign_in(idle_system.engine, email, "guess", ADDRESS)
    assert verified == [None, None]


async def test_a_session_ends_twelve_hours_after_its_last_use(idle_system: System) -> None:
    token = await sign_in(idle_system.engine, "anna@example.com", await _add(idle_system), ADDRESS)
    for _ in range(3):
        await idle_system.turn(hours=11)
        assert await visitor_of(idle_system.engine, token) is not None
    await idle_system.turn(hours=11)
    assert await visitor_of(idle_system.engine, token, in_use=False) is not None  # no person asked
    await idle_system.turn(hours=2)
    assert await visitor_of(idle_system.engine, token) is None


async def test_a_session_ends_after_seven_days_however_much_it_is_used(idle_system: System) -> None:
    token = await sign_in(idle_system.engine, "anna@example.com", await _add(idle_system), ADDRESS)
    for _ in range(16):
        await idle_system.turn(hours=10)
        assert await visitor_of(idle_system.engine, token) is not None
    await idle_system.turn(hours=9)
    assert await visitor_of(idle_system.engine, token) is None


async def test_a_session_ends_by_signing_out_and_another_of_the_same_user_does_not(idle_system: System) -> None:
    engine, password = idle_system.engine, await _add(idle_system)
    one, two = [await sign_in(engine, "anna@example.com", password, ADDRESS) for _ in range(2)]
    assert one != two
    await sign_out(engine, one)
    await sign_out(engine, one)
    assert await visitor_of(engine, one) is None
    assert await visitor_of(engine, two) is not None


async def test_a_changed_password_ends_all_sessions_but_the_new_one(idle_system: System) -> None:
    engine, password = idle_system.engine, await _add(idle_system)
    one, two = [await sign_in(engine, "anna@example.com", password, ADDRESS) for _ in range(2)]
    for new in ("short", password, "anna@example.com"):
        with pytest.raises(InvalidInput):
            await change_password(engine, one, password, new)
    with pytest.raises(SignInRefused):
        await change_password(engine, one, "wrong", NEW)
    three = await change_password(engine, one, password, NEW)
    assert [await visitor_of(engine, each) for each in (one, two)] == [None, None]
    visitor = await visitor_of(engine, three)
    assert visitor is not None
    assert not visitor.must_change_password
    with pytest.raises(SignInRefused):
        await sign_in(engine, "anna@example.com", password, ADDRESS)


async def test_a_session_ends_when_its_user_is_removed_or_gets_a_new_first_password(idle_system: System) -> None:
    engine = idle_system.engine
    token = await sign_in(engine, "anna@example.com", await _add(idle_system), ADDRESS)
    async with engine.pool.connection() as connection:
        password = await reset_password(connection, "anna@example.com")
    assert await visitor_of(engine, token) is None
    token = await sign_in(engine, "anna@example.com", password, ADDRESS)
    async with engine.pool.connection() as connection:
        await remove_user(connection, "anna@example.com", idle_system.customer)
        assert await users_of(connection, idle_system.customer) == []
    assert await visitor_of(engine, token) is None
    with pytest.raises(NotFound):
        async with engine.pool.connection() as connection:
            await remove_user(connection, "anna@example.com", idle_system.customer)


async def test_a_customer_takes_the_roles_for_it_along(idle_system: System) -> None:
    engine, password = idle_system.engine, await _add(idle_system)
    other = await _another_customer(idle_system)
    async with engine.pool.connection() as connection:
        await add_user(connection, "anna@example.com", other, Role.OWNER)
    token = await sign_in(engine, "anna@example.com", password, ADDRESS)
    await remove_customer(engine, idle_system.customer)
    visitor = await visitor_of(engine, token)
    assert visitor is not None
    assert visitor.roles == {other: Role.OWNER}


async def test_attempts_are_slowed_per_user_and_a_right_password_works_after_the_delay(idle_system: System) -> None:
    engine, password = idle_system.engine, await _add(idle_system)
    waits: list[float] = []
    for attempt in range(12):
        try:
            with pytest.raises(SignInRefused):
                await sign_in(engine, "anna@example.com", "guess", f"192.0.2.{attempt}")
        except TooManyAttempts as slowed:
            waits.append(slowed.after)
            with pytest.raises(TooManyAttempts):  # also with the right password, and from wherever
                await sign_in(engine, "anna@example.com", password, "198.51.100.7")
            await idle_system.turn(seconds=slowed.after)
            with pytest.raises(SignInRefused):
                await sign_in(engine, "anna@example.com", "guess", f"192.0.2.{attempt}")
    assert waits == sorted(waits)
    assert 0 < waits[0] <= 2
    assert 30 <= waits[-1] <= 60
    await idle_system.turn(seconds=60)
    assert await sign_in(engine, "anna@example.com", password, ADDRESS)
    for _ in range(3):  # and the count begins anew
        with pytest.raises(SignInRefused):
            await sign_in(engine, "anna@example.com", "guess", ADDRESS)


async def test_attempts_are_slowed_per_address_whatever_user_is_tried(idle_system: System) -> None:
    engine, slowed = idle_system.engine, 0
    for attempt in range(30):
        try:
            await sign_in(engine, f"user{attempt}@example.com", "guess", ADDRESS)
        except TooManyAttempts:
            slowed += 1
        except SignInRefused:
            assert slowed == 0
    assert slowed == 10
    with pytest.raises(SignInRefused):
        await sign_in(engine, "user1@example.com", "guess", "198.51.100.7")


async def test_many_attempts_at_once_are_not_all_checked(idle_system: System) -> None:
    await _add(idle_system)
    tried = await asyncio.gather(
        *(sign_in(idle_system.engine, "anna@example.com", f"guess {n}", ADDRESS) for n in range(15)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, SignInRefused) for each in tried) <= 5
    assert all(isinstance(each, SignInRefused | TooManyAttempts) for each in tried)


async def test_the_first_user_is_the_operator_and_there_is_one_only(idle_system: System) -> None:
    engine = idle_system.engine

    async def first() -> tuple[str, str] | None:
        async with engine.pool.connection() as connection:
            return await first_user(connection, "owner@localhost")

    made = [each for each in await asyncio.gather(*(first() for _ in range(4))) if each is not None]
    assert len(made) == 1
    other = await _another_customer(idle_system)
    visitor = await visitor_of(engine, await sign_in(engine, *made[0], ADDRESS))
    assert visitor is not None
    assert visitor.is_operator
    assert visitor.roles == {idle_system.customer: Role.OWNER, other: Role.OWNER}
    async with engine.pool.connection() as connection:
        for refused in (
            add_user(connection, made[0][0], other, Role.VIEWER),
            remove_user(connection, made[0][0], other),
        ):
            with pytest.raises(Conflict):
                await refused


@pytest.mark.parametrize("email", ["", "anna", "a b@example.com", "a@b@", "@", "a@\x00", "a@" + "b" * 300, "a@\ud800"])
async def test_what_is_no_address_makes_no_user(idle_system: System, email: str) -> None:
    with pytest.raises(InvalidInput):
        await _add(idle_system, email)


def test_each_role_may_do_what_those_before_it_may() -> None:
    assert [[a.allows(b) for b in Role] for a in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert list(users.Role) == ["viewer", "editor", "owner"]


async def test_the_audit_log_is_added_to_and_never_changed(idle_system: System) -> None:
    engine = idle_system.engine
    actor = Actor(ActorKind.COMMAND, "root", idle_system.customer)
    async with engine.pool.connection() as connection:
        for act in ("pause", "resume"):
            await audit.record(connection, actor, act, "batch b_1", {"why": "\u2028<script>"})
    for statement in ("update audit set act = 'x'", "delete from audit", "truncate audit"):
        with pytest.raises(psycopg.errors.RaiseException):
            async with engine.pool.connection() as connection:
                await connection.execute(statement)
    await remove_customer(engine, idle_system.customer)
    async with engine.pool.connection() as connection:
        found = await audit.entries(connection, idle_system.customer)
        assert [(each.act, each.actor, each.detail) for each in found] == [
            (act, actor, {"why": "\u2028<script>"}) for act in ("resume", "pause")
        ]
        assert await audit.entries(connection, idle_system.customer, before=found[1].id) == []
        assert found[0].at - found[1].at < timedelta(minutes=1)
