"""Waits until a moment of each contact's own: who leaves when, how many cohorts stand, and what the journal says."""

import asyncio
import json
import time
from collections import Counter
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from caravan.settings import Settings
from caravan.steps.moment_file import MANY, STANDING
from tests.integration.conftest import System

UNTIL = """
journey: 1
name: Renewals
steps:
  - id: before
    wait: {{{rule}}}
    next: rest
  - id: rest
    wait: 1000 days
"""


def until(rule: str) -> str:
    return UNTIL.format(rule=rule)


def people(*properties: dict[str, object]) -> bytes:
    rows = ({"id": f"c{n}", "properties": each} for n, each in enumerate(properties))
    return "".join(json.dumps(each) + "\n" for each in rows).encode()


def step(found: dict, name: str) -> dict:  # type: ignore[type-arg]
    return next(each for each in found["ledger"]["steps"] if each["step"] == name)


async def cohorts(system: System, batch: str) -> list[dict]:  # type: ignore[type-arg]
    async with system.engine.pool.connection() as connection:
        query = "select * from cohorts where batch_id = %s and closed_at is null and step = 'before' order by due_at"
        return list(await (await connection.execute(query, (batch,))).fetchall())


async def idle(system: System) -> None:
    """Until no job is due: those of a paused batch have been looked at."""
    query = "select from procrastinate_jobs where status = 'doing' or status = 'todo' and scheduled_at <= now()"
    deadline = time.monotonic() + 20
    async with system.engine.pool.connection() as connection:
        while (await connection.execute(query)).rowcount:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Cohorts that are large enough for a tree of them."""
    return settings.model_copy(update={"cohort_size": 3_000})


async def test_contacts_with_many_moments_stand_in_few_cohorts_and_each_leaves_on_time(system: System) -> None:
    now = system.clock.now().replace(microsecond=0) + timedelta(hours=1)
    moments = [now + timedelta(minutes=7 * n) for n in range(2_500)]
    moments[100:160] = [moments[100]] * 60
    await system.publish(until('until: "{{ renewal }}"'))
    batch = await system.start(people(*({"renewal": each.isoformat(), "n": n} for n, each in enumerate(moments))))
    found = await system.until(batch, lambda b: step(b, "before")["standing"] == 2_500 and bool(b["waitingFor"]))
    standing = await cohorts(system, batch)
    assert len(standing) <= MANY
    assert sum(each["size"] for each in standing) == 2_500
    assert standing[0]["due_at"] == moments[0]
    assert "until the moment of each of them" in found["waitingFor"]
    with system.engine.files.local(standing[0]["file"]) as path:
        file = pq.read_table(path)
    assert file.schema.names == STANDING.names
    assert file["due"][0].as_py() == moments[0]
    assert file["zone"][0].as_py() == "UTC"
    left = 0
    for expected in (1, 2, 60, 161, 1_000, 2_500):
        due = sorted(moments)[expected - 1]
        expected = sum(each <= due for each in moments)
        await system.turn(seconds=(due - system.clock.now()).total_seconds() + 1)
        found = await system.until(batch, lambda b, n=expected: step(b, "rest")["arrived"] == n)  # type: ignore[misc]
        assert step(found, "before")["standing"] == 2_500 - expected
        assert expected == 2_500 or len(await cohorts(system, batch)) <= 2 * MANY
        left = expected
    assert left == 2_500
    journal = await system.lines(f"batches/{batch}/journal?step=before")
    assert Counter(each["contact"] for each in journal) == Counter({f"c{n}": 1 for n in range(2_500)})
    details = {each["contact"]: each["detail"] for each in journal}
    assert details == {f"c{n}": f"until {each:%Y-%m-%d %H:%M:%S} UTC" for n, each in enumerate(moments)}


async def test_who_is_past_or_has_no_date_goes_on_or_leaves_as_the_step_says(system: System) -> None:
    rule = 'until: "{{ renewal }}", if_past: exit, invalid: continue'
    await system.publish(until(rule))
    soon = system.clock.now() + timedelta(days=3)
    batch = await system.start(
        people(
            {"renewal": "2020-01-01"}, {"renewal": "never"}, {"renewal": soon.isoformat()}, {"renewal": "2020-01-02"}
        )
    )
    found = await system.until(batch, lambda b: step(b, "rest")["arrived"] == 1)
    assert step(found, "before") == {"step": "before", "arrived": 4, "standing": 1, "outcomes": {"passed": 3}}
    journal = await system.lines(f"batches/{batch}/journal?step=before")
    assert {each["contact"]: each["detail"] for each in journal} == {
        "c0": "2020-01-01 00:00:00 UTC was past",
        "c1": "without a moment to wait until: 'never' is no date",
        "c3": "2020-01-02 00:00:00 UTC was past",
    }
    contact = (await system.get("contacts/c1")).json()
    assert contact["entries"][0]["stays"][0]["detail"].endswith("'never' is no date")
    await system.turn(days=3, seconds=2)
    found = await system.until(batch, lambda b: step(b, "rest")["arrived"] == 2)
    assert step(found, "before")["standing"] == 0


async def test_those_who_share_a_moment_stand_and_leave_as_one_cohort(system: System) -> None:
    await system.publish(until('at: "09:00", days: [mon], timezone: Europe/Stockholm'))
    batch = await system.start(people({}, {}, {}))
    await system.until(batch, lambda b: "moment" in str(b["waitingFor"]))
    (standing,) = await cohorts(system, batch)
    local = standing["due_at"].astimezone()
    assert timedelta(0) < standing["due_at"] - system.clock.now() <= timedelta(days=7)
    await system.turn(seconds=(local - system.clock.now()).total_seconds() + 0.1)
    await system.until(batch, lambda b: step(b, "rest")["arrived"] == 3)
    async with system.engine.pool.connection() as connection:
        query = "select file from cohorts where batch_id = %s and step = 'rest'"
        found = await (await connection.execute(query, (batch,))).fetchall()
    assert [each["file"] for each in found] == [standing["file"]], "nothing was written when they left"
    (line, *_) = await system.lines(f"batches/{batch}/journal?step=before")
    assert line["detail"].startswith("until ")
    assert line["detail"].endswith(" 09:00:00 Europe/Stockholm")


async def test_two_waits_in_a_row_each_find_their_own_moments(system: System) -> None:
    await system.publish(
        """
journey: 1
steps:
  - id: first
    wait: {until: "{{ a }}"}
    next: second
  - id: second
    wait: {until: "{{ b }}"}
    next: rest
  - id: rest
    wait: 1000 days
"""
    )
    now = system.clock.now()
    a, b = (now + timedelta(hours=1)).isoformat(), (now + timedelta(hours=2)).isoformat()
    batch = await system.start(people({"a": a, "b": b}, {"a": a, "b": b}))
    await system.until(batch, lambda found: step(found, "first")["standing"] == 2)
    await system.turn(hours=1, seconds=2)
    await system.until(batch, lambda found: step(found, "second")["standing"] == 2)
    await system.turn(minutes=58)
    assert step(await system.batch(batch), "second")["standing"] == 2
    await system.turn(minutes=2)
    await system.until(batch, lambda found: step(found, "rest")["arrived"] == 2)


async def test_contacts_that_wait_until_a_moment_can_be_paused_and_recalled(system: System) -> None:
    await system.publish(until('until: "{{ d }}"'))
    moments = [system.clock.now() + timedelta(hours=n + 1) for n in range(100)]
    batch = await system.start(people(*({"d": each.isoformat()} for each in moments)))
    await system.until(batch, lambda found: bool(found["waitingFor"]))
    assert (await system.post(f"batches/{batch}/pause", {})).status_code == 200
    await system.turn(hours=10, seconds=2)
    await idle(system)
    assert step(await system.batch(batch), "before")["standing"] == 100
    assert (await system.post(f"batches/{batch}/resume", {})).status_code == 200
    await system.until(batch, lambda found: step(found, "rest")["arrived"] == 10)
    assert (await system.post(f"batches/{batch}/cancel", {})).status_code == 200
    found = await system.until(batch, lambda found: step(found, "before")["standing"] == 0)
    assert step(found, "before")["outcomes"] == {"passed": 10, "cancelled": 90}


async def test_contacts_of_a_batch_that_was_held_arrive_when_it_is_resumed(system: System) -> None:
    await system.publish(until('until: "{{ d }}", if_past: exit'))
    opened = (await system.post("batchtrigger/v2", {"entityId": 1, "options": {"hold": True}})).json()
    near, far = (system.clock.now() + timedelta(hours=hours) for hours in (1, 3))
    rows = people({"d": near.isoformat()}, {"d": far.isoformat()})
    await system.http.put(opened["uploadUrl"], content=rows, headers={"Content-Type": "text/plain"})
    batch = opened["batchId"]
    await system.until(batch, lambda found: found["state"] == "paused")
    await system.turn(hours=2)
    await system.post(f"batches/{batch}/resume", {})
    found = await system.until(batch, lambda found: step(found, "before")["standing"] == 1)
    assert step(found, "before")["outcomes"] == {"passed": 1}
    await system.turn(hours=1, seconds=2)
    found = await system.until(batch, lambda found: step(found, "before")["standing"] == 0)
    assert step(found, "rest")["arrived"] == 1
