"""Delivery keys outlive a rotation of the secret that signs them."""

import asyncio
from datetime import timedelta

from caravan.channels.sandbox import Stage
from caravan.delivery.key import DeliveryKey
from caravan.delivery.signing import SECRET, read_back
from caravan.engine import reading
from caravan.engine import worker as workers
from caravan.engine.advance import advance
from caravan.store.customers import rotate_secret, signing_secrets
from tests.integration.conftest import System
from tests.integration.delivery.test_silent_sender import _standing
from tests.integration.journeys_for_tests import MAIL, contacts


async def _send(system: System) -> None:
    async with workers.tools_of(system.engine) as tools:
        await advance(system.engine, tools, await _standing(system))


async def _rotate(system: System) -> None:
    async with system.engine.pool.connection() as connection:
        await rotate_secret(connection, SECRET, system.clock.now())


async def _start(system: System) -> str:
    batch = await system.start(contacts(1))
    await reading.read(system.engine, batch, asyncio.Event())
    return batch


def _key(message: object) -> str:
    content = str(message.content, "utf-8")  # type: ignore[attr-defined]
    return content.partition("Message-ID: <")[2].partition("@")[0]


async def test_a_retry_after_a_rotation_has_the_key_of_the_first_attempt(idle_system: System) -> None:
    system, offered = idle_system, list[str]()

    def refuse_once(stage: Stage, received: object) -> str | None:
        if stage is Stage.CONTENT:
            offered.append(_key(received))
        return "451 4.7.1 later" if stage is Stage.CONTENT and len(offered) == 1 else None

    system.sandbox._script = refuse_once
    await system.publish(MAIL)
    old = await _start(system)
    await _send(system)
    await _rotate(system)
    await system.turn(hours=1)
    await _send(system)
    new = await _start(system)
    await _send(system)
    first, retry, other = offered
    assert first == retry != other
    async with system.engine.pool.connection() as connection:
        assert await read_back(connection, first.upper()) == DeliveryKey(old, 0, 0, 1)
        assert await read_back(connection, other) == DeliveryKey(new, 0, 0, 1)
        assert await read_back(connection, other[:-1] + ("0" if other[-1] != "0" else "1")) is None


async def test_a_secret_that_was_rotated_stays_and_later_ones_come_first(idle_system: System) -> None:
    system, now = idle_system, idle_system.clock.now()
    async with system.engine.pool.connection() as connection:
        (first,) = await signing_secrets(connection, SECRET)
        assert first.since is None
        for days in (1, 2, 3):
            await rotate_secret(connection, SECRET, now + timedelta(days=days))
            await rotate_secret(connection, "another", now)
        found = await signing_secrets(connection, SECRET)
    assert [each.since for each in found] == [*(now + timedelta(days=days) for days in (3, 2, 1)), None]
    assert found[-1] == first
    assert len({each.value for each in found}) == 4


async def test_two_entries_of_one_contact_have_keys_of_their_own(system: System) -> None:
    await system.publish(MAIL)
    body = {"id": "twice", "properties": {"emailAddress": "twice@example.com", "firstname": "T"}}
    entered = [(await system.post("journeys/1/commence", body)).json() for _ in range(2)]
    batch = entered[0]["batchId"]
    await system.until(batch, lambda b: b["ledger"]["steps"][0]["outcomes"] == {"sent": 2})
    async with system.engine.pool.connection() as connection:
        found = [await read_back(connection, _key(mail)) for mail in system.sandbox.mails]
    assert sorted(key.line for key in found if key is not None) == [1, 2]
    assert {(key.batch, key.step, key.visit) for key in found if key is not None} == {(batch, 0, 0)}
