"""Mails that are kept in PostgreSQL where no relay is set."""

import asyncio

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from caravan.channels.mail import Mail
from caravan.channels.mail_sandbox import MailSandbox
from caravan.channels.sandbox import Sandbox
from caravan.delivery.result import Result
from caravan.errors import NotFound
from caravan.queries import sandbox
from caravan.settings import Settings
from caravan.store.database import Pool
from caravan.store.sandbox import SandboxStore, trim_old
from tests.integration.conftest import open_house, working
from tests.integration.journeys_for_tests import MAIL, contacts


def _mail(number: int, content: bytes = b"Subject: x\r\n\r\nHi\r\n") -> Mail:
    return Mail("shop@example.com", f"c{number}@example.com", f"<{number}@example.com>", content)


async def test_what_is_sent_is_there_for_every_other_connection_octet_by_octet(database: str, pool: Pool) -> None:
    content = (
        b"From: =?utf-8?q?Z=C3=B6e?= <z@example.com>\r\nSubject: =?utf-8?q?F=C3=BCr_dich?=\r\n\r\n.\r\n\x00\xff\r\n"
    )
    async with MailSandbox(SandboxStore(database, "email", 100)) as channel:
        delivery = await channel.send(_mail(1, content))
    assert delivery.result is Result.SENT
    async with pool.connection() as connection:
        (listed,) = await sandbox.list_messages(connection)
        found = await sandbox.get_mail(connection, listed.id)
        with pytest.raises(NotFound):
            await sandbox.get_mail(connection, listed.id + 1)
    assert delivery.detail.endswith(f"as {listed.id}")
    assert (listed.sender, listed.recipient, listed.subject) == ("shop@example.com", "c1@example.com", "Für dich")
    assert (found.raw, dict(found.headers)["From"]) == (content, "Zöe <z@example.com>")


@profile(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(st.lists(st.binary(max_size=2_000), min_size=1, max_size=5))
async def test_any_octets_are_kept_and_listed(database: str, pool: Pool, contents: list[bytes]) -> None:
    async with MailSandbox(SandboxStore(database, "email", 1_000_000)) as channel:
        deliveries = await asyncio.gather(*(channel.send(_mail(n, each)) for n, each in enumerate(contents)))
    numbers = [int(each.detail.rpartition(" ")[2]) for each in deliveries]
    async with pool.connection() as connection:
        assert [(await sandbox.get_mail(connection, each)).raw for each in numbers] == contents
        assert {each.id for each in await sandbox.list_messages(connection)} >= set(numbers)


async def test_of_many_from_two_workers_the_newest_are_kept(database: str, pool: Pool) -> None:
    async def worker() -> list[Result]:
        async with MailSandbox(SandboxStore(database, "email", 50)) as channel:
            return [each.result for each in await asyncio.gather(*(channel.send(_mail(n)) for n in range(700)))]

    results = await asyncio.gather(worker(), worker())
    assert {each for found in results for each in found} == {Result.SENT}
    async with MailSandbox(SandboxStore(database, "email", 50)) as channel:
        for number in range(60):
            await channel.send(_mail(number))
    async with pool.connection() as connection:
        kept = await sandbox.list_messages(connection, sandbox.Page(10_000))
        assert 50 <= len(kept) <= 100
        assert kept[0].recipient == "c59@example.com"
        assert [each.id for each in await sandbox.list_messages(connection, sandbox.Page(2, before=kept[2].id))] == [
            each.id for each in kept[3:5]
        ]
        assert len(await sandbox.list_messages(connection, sandbox.Page(recipient="C59@example.com"))) == 1
        await connection.execute("update sandbox set at = at - interval '8 days' where id < %s", (kept[5].id,))
        await trim_old(connection, 7)
        assert len(await sandbox.list_messages(connection)) == 6
        assert await sandbox.clear(connection) == 6
        assert await sandbox.list_messages(connection) == []


async def test_an_address_that_no_relay_would_take_fails_alone(database: str, pool: Pool) -> None:
    async with MailSandbox(SandboxStore(database, "email", 50)) as channel:
        bad = Mail("shop@example.com", "a\x00b@example.com", "<x@y>", b"")
        results = await asyncio.gather(*(channel.send(each) for each in (_mail(1), bad, _mail(2))))
    assert [each.result for each in results] == [Result.SENT, Result.FAILED, Result.SENT]


async def test_a_batch_without_a_relay_is_sent_into_the_sandbox(settings: Settings) -> None:
    async with open_house(settings.model_copy(update={"smtp_url": None}), Sandbox()) as system, working(system):
        await system.publish(MAIL)
        found = await system.ended(await system.start(contacts(250)))
        assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 250}
        async with system.engine.pool.connection() as connection:
            kept = await sandbox.list_messages(connection, sandbox.Page(1_000))
        assert sorted(each.recipient for each in kept) == sorted(f"c{n}@example.com" for n in range(250))
        ready = (await system.http.get("/readyz")).json()
        assert ready["mail"].startswith("sandbox: No CARAVAN_SMTP_URL is set")
