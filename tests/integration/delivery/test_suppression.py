"""Whoever is suppressed gets nothing, as of the moment of the send."""

from datetime import UTC, datetime

import psycopg

from caravan.store.suppressions import Reason, Suppression, add
from tests.integration.conftest import System, working
from tests.integration.journeys_for_tests import MAIL, contacts

AT = datetime(2026, 11, 1, tzinfo=UTC)
NEWS = MAIL.replace("      from:", "      topic: News\n      from:")
RECEIPT = MAIL.replace("      from:", "      transactional: true\n      from:")


async def _suppress(system: System, *numbers: int, topic: str | None = None, **values: Reason) -> None:
    reason = values.get("reason", Reason.UNSUBSCRIBED)
    entries = [
        Suppression("email", f"c{number}@example.com", topic, reason, "api", "token t", AT) for number in numbers
    ]
    async with system.engine.pool.connection() as connection:
        assert await add(connection, system.customer, entries) == len(numbers)


async def test_suppressed_addresses_get_nothing_and_the_ledger_and_the_journal_say_why(system: System) -> None:
    await _suppress(system, 3, 14)
    await system.publish(MAIL)
    batch = await system.start(contacts(25))
    found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 23, "suppressed": 2}
    lines = await system.lines(f"batches/{batch}/journal?outcome=suppressed")
    assert {(each["contact"], each["detail"]) for each in lines} == {
        ("3", "unsubscribed on 2026-11-01 (api)"),
        ("14", "unsubscribed on 2026-11-01 (api)"),
    }
    assert not {"c3@example.com", "c14@example.com"} & {mail.recipients[0] for mail in system.sandbox.mails}


async def test_a_topic_stops_its_own_steps_and_a_bounce_stops_transactional_ones_too(system: System) -> None:
    await _suppress(system, 1, topic="News")
    await _suppress(system, 2, topic="Offers")
    await _suppress(system, 3)
    await _suppress(system, 4, reason=Reason.HARD_BOUNCE)
    for journey, definition, outcomes in (
        (1, MAIL, {"sent": 8, "suppressed": 2}),
        (2, NEWS, {"sent": 7, "suppressed": 3}),
        (3, RECEIPT, {"sent": 9, "suppressed": 1}),
    ):
        await system.publish(definition.replace("journey: 1", f"journey: {journey}"), journey)
        found = await system.ended(await system.start(contacts(10), journey))
        assert found["ledger"]["steps"][0]["outcomes"] == outcomes


async def test_another_customers_suppressions_stop_nothing(system: System) -> None:
    async with system.engine.pool.connection() as connection:
        entry = Suppression("email", "c1@example.com", None, Reason.MANUAL, "api", "token t", AT)
        other = (
            await (
                await connection.execute("insert into customers (name, created_at) values ('o', now()) returning id")
            ).fetchone()
        )["id"]  # type: ignore[index]
        await add(connection, other, [entry])
    await system.publish(MAIL)
    found = await system.ended(await system.start(contacts(3)))
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 3}


async def test_unsubscribing_while_a_batch_runs_stops_the_mail_that_has_not_left(idle_system: System) -> None:
    system = idle_system
    await system.publish(MAIL + "    next: second\n" + _second())
    async with working(system):
        batch = await system.start(contacts(20))
        await system.until(batch, lambda b: b["ledger"]["steps"][1]["standing"] == 20)
        await _suppress(system, *range(5))
        await system.turn(days=1, seconds=1)
        found = await system.ended(batch)
    assert found["ledger"]["steps"][2]["outcomes"] == {"sent": 15, "suppressed": 5}


def _second() -> str:
    mail = MAIL.partition("steps:\n")[2].replace("id: mail", "id: third")
    return "  - id: second\n    wait: 1 day\n    next: third\n" + mail


async def test_a_window_asks_once_whatever_its_size(system: System, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    asked: list[int] = []
    execute = psycopg.AsyncConnection.execute

    async def counted(self, query, params=None, **options):  # type: ignore[no-untyped-def]
        if "from suppressions" in str(query):
            asked.append(len(params["addresses"]))
        return await execute(self, query, params, **options)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", counted)
    await system.publish(MAIL)
    await system.ended(await system.start(contacts(25)))
    assert sorted(asked) == [5, 10, 10]
