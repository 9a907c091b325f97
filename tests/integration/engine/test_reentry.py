"""Who may enter a journey again, by files and by single starts, also when both come at once."""

import asyncio
import json
from collections import Counter

import pytest

from caravan.engine import upkeep
from caravan.settings import Settings
from tests.integration.conftest import System, working

JOURNEY = """
journey: 1
reentry: {rule}
steps:
  - id: hold
    wait: 2 days
"""


def rows(*numbers: int) -> bytes:
    return b"".join(b'{"id": "c%d", "properties": {"n": %d}}\n' % (number, number) for number in numbers)


def entered(found: dict) -> tuple[int, int]:  # type: ignore[type-arg]
    return found["ledger"]["entered"], found["ledger"]["rejected"].get("reentry_refused", 0)


async def read(system: System, content: bytes) -> dict:  # type: ignore[type-arg]
    batch = await system.start(content)
    return await system.until(batch, lambda found: found["state"] in ("running", "completed"))


@pytest.mark.parametrize("span_bytes", [1 << 30, 2_000])
async def test_each_contact_enters_once_and_the_others_are_lines_of_the_receipt(
    settings: Settings, idle_system: System, span_bytes: int
) -> None:
    idle_system.engine.settings.__dict__["span_bytes"] = span_bytes
    async with working(idle_system):
        system = idle_system
        await system.publish(JOURNEY.format(rule="once"))
        first = await read(system, rows(*range(300)))
        assert entered(first) == (300, 0)
        content = b"nonsense\n" + rows(*range(250, 500)) + rows(250) + b"\n" + rows(299, 1)
        second = await read(system, content)
        assert entered(second) == (200, 51)
        assert second["ledger"]["rejected"] == {"not_json": 1, "duplicate": 2, "reentry_refused": 51}
        assert second["ledger"]["lines"] == 255
        rejects = await system.lines(f"batches/{second['id']}/rejects")
        assert [each["line"] for each in rejects] == [*range(1, 52), 252, 254, 255]
        assert [each["code"] for each in rejects[1:51]] == ["reentry_refused"] * 50
        assert rejects[1]["message"].startswith("The contact 'c250' entered this journey at 20")
        assert f"by batch {first['id']}, which it may do once" in rejects[1]["message"]
        assert json.loads(rejects[1]["row"]) == {"id": "c250", "properties": {"n": 250}}
        only = await system.lines(f"batches/{second['id']}/rejects?code=reentry_refused")
        assert len(only) == 51
        await system.turn(days=3)
        await system.ended(second["id"])
        assert entered(await read(system, rows(*range(500)))) == (0, 500), "for ever"


@pytest.mark.parametrize("rule", ["once", "not_while_inside", "{after: 30 days}"])
async def test_of_two_files_at_once_one_enters_each_contact(system: System, rule: str) -> None:
    await system.publish(JOURNEY.format(rule=rule))
    files = [rows(*range(0, 800)), rows(*reversed(range(400, 1_200))), rows(*range(200, 1_000))]
    found = await asyncio.gather(*(read(system, each) for each in files))
    assert sum(entered(each)[0] for each in found) == 1_200
    assert sum(entered(each)[1] for each in found) == 1_200
    journals = [await system.lines(f"batches/{each['id']}/journal?contact=c500") for each in found]
    assert sum(map(len, journals)) == 1


async def test_who_has_left_the_journey_may_enter_again_and_who_has_not_may_not(system: System) -> None:
    await system.publish(
        """
journey: 1
reentry: not_while_inside
steps:
  - id: fork
    split: [{if: n < 10, to: out}, {else: hold}]
  - id: out
    exit: {}
  - id: hold
    wait: 2 days
"""
    )
    first = await read(system, rows(*range(30)))
    await system.until(first["id"], lambda found: found["ledger"]["steps"][-1]["standing"] == 20)
    second = await read(system, rows(*range(40)))
    assert entered(second) == (20, 20)
    rejects = await system.lines(f"batches/{second['id']}/rejects")
    assert {each["line"] for each in rejects} == set(range(11, 31))
    assert rejects[0]["message"].endswith("and has not left it.")
    await system.until(second["id"], lambda found: found["ledger"]["steps"][-1]["standing"] == 10)
    await system.turn(days=2, seconds=2)
    await system.ended(first["id"])
    await system.ended(second["id"])
    assert entered(await read(system, rows(*range(40)))) == (40, 0)


async def test_a_contact_may_enter_again_after_a_time(system: System) -> None:
    await system.publish(JOURNEY.format(rule="{after: 1 month}"))
    assert entered(await read(system, rows(1, 2))) == (2, 0)
    await system.turn(days=27)
    second = await read(system, rows(1, 3))
    assert entered(second) == (1, 1)
    (reject,) = await system.lines(f"batches/{second['id']}/rejects")
    assert reject["message"].endswith("it may enter again 1 month later.")
    await system.turn(days=5)
    await upkeep.forget_entries(system.engine)
    assert entered(await read(system, rows(1, 3))) == (1, 1), "3 entered five days ago"


async def test_who_never_entered_a_batch_that_was_recalled_while_it_was_read_may_enter(idle_system: System) -> None:
    from caravan.engine import reading

    await idle_system.publish(JOURNEY.format(rule="once"))
    first = await idle_system.start(rows(1, 2))
    entering = reading.enter

    async def cancelled(engine, batch, receipt, failure):  # type: ignore[no-untyped-def]
        await idle_system.post(f"batches/{first}/cancel", {})
        return await entering(engine, batch, receipt, failure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "enter", cancelled)
        await reading.read(idle_system.engine, first, asyncio.Event())
    assert (await idle_system.batch(first))["state"] == "cancelled"
    async with working(idle_system):
        assert entered(await read(idle_system, rows(1, 2))) == (2, 0)


async def test_a_job_that_begins_again_finds_its_own_contacts(idle_system: System) -> None:
    from caravan.engine import reading

    await idle_system.publish(JOURNEY.format(rule="once"))
    batch = await idle_system.start(rows(1, 2))

    async def died(engine, batch, receipt, failure):  # type: ignore[no-untyped-def]
        raise ConnectionError("killed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "enter", died)
        with pytest.raises(ConnectionError):
            await reading.read(idle_system.engine, batch, asyncio.Event())
    async with working(idle_system):
        found = await idle_system.until(batch, lambda found: found["state"] == "running")
    assert entered(found) == (2, 0)


async def test_a_restart_lets_its_contacts_in(system: System) -> None:
    await system.publish(JOURNEY.format(rule="once"))
    first = await read(system, rows(1, 2))
    await system.turn(days=3)
    await system.ended(first["id"])
    answer = await system.post(f"batches/{first['id']}/restart", {"outcome": "passed"})
    found = await system.until(answer.json()["id"], lambda found: found["state"] == "running")
    assert entered(found) == (2, 0)


@pytest.mark.parametrize("rule", ["once", "not_while_inside", "{after: 30 days}"])
async def test_a_single_start_is_refused_too_also_of_many_at_once(system: System, rule: str) -> None:
    await system.publish(JOURNEY.format(rule=rule))
    await read(system, rows(1))
    refused = await system.post("journeys/1/commence", {"id": "c1"})
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("reentry_refused: The contact 'c1' entered this journey at")
    answers = await asyncio.gather(*(system.post("journeys/1/commence", {"id": f"s{n % 5}"}) for n in range(40)))
    assert Counter(each.status_code for each in answers) == {202: 5, 409: 35}
    batch = next(each.json()["batchId"] for each in answers if each.status_code == 202)
    found = await system.until(batch, lambda found: found["ledger"]["entered"] == 5)
    assert found["ledger"]["rejected"] == {}
    again = await read(system, b'{"id": "s1"}\n{"id": "s9"}\n')
    assert entered(again) == (1, 1), "a file knows those who came alone"
    if rule == "not_while_inside":
        await system.turn(days=2, seconds=2)
        await system.until(batch, lambda found: found["ledger"]["steps"][0]["standing"] == 0)
        assert (await system.post("journeys/1/commence", {"id": "s1"})).status_code == 202


async def test_a_journey_without_a_rule_writes_nothing(system: System) -> None:
    await system.publish(JOURNEY.format(rule="always"))
    for _ in range(2):
        assert entered(await read(system, rows(1, 2))) == (2, 0)
    assert (await system.post("journeys/1/commence", {"id": "c1"})).status_code == 202
    async with system.engine.pool.connection() as connection:
        assert (
            await connection.execute("select from entries where customer_id = %s", (system.customer,))
        ).rowcount == 0


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("twice", "reentry is always, once, not_while_inside or {after: 30 days}"),
        ("{after: soon}", "'soon' is no duration"),
        ("{after: 0 days}", "longer than nothing"),
        ("[once]", "reentry is always"),
    ],
)
async def test_a_rule_that_can_not_be_read_is_told_with_its_line(system: System, rule: str, told: str) -> None:
    answer = await system.http.put(system.path("journeys/1"), content=JOURNEY.format(rule=rule))
    assert answer.status_code == 422
    assert told in answer.text
    assert "3" in answer.text
