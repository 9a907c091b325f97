"""Starting again with those who left a step with some outcome, as a new batch."""

import asyncio
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caravan.engine import restart, retention
from caravan.engine.reading import read
from caravan.store import batches
from tests.integration.conftest import System, working
from tests.integration.engine.fuse import Crash
from tests.integration.journeys_for_tests import EXIT, MAIL, WAIT, contacts

TWO_MAILS = """
journey: 1
name: Two mails
steps:
  - id: first
    email: {from: shop@example.com, to: "{{ emailAddress }}", subject: "One for {{ firstname }}", text: One}
    next: second
  - id: second
    email: {from: shop@example.com, to: "{{ other }}", subject: "Two for {{ firstname }}", text: Two}
"""


def row(number: int, good: bool = True, other: bool = True) -> bytes:
    address = f"c{number}@example.com" if good else "nobody"
    second = f"d{number}@example.com" if other else "nobody"
    properties = f'{{"firstname": "N{number}", "emailAddress": "{address}",  "other":"{second}"}}'
    return f'{{"id": "{number}", "properties": {properties}}}\n'.encode()


async def failing_batch(system: System, count: int = 250) -> str:
    """An ended batch of which each 5th contact failed at `mail`."""
    await system.publish(MAIL)
    batch = await system.start(b"".join(row(number, good=number % 5 != 0) for number in range(count)))
    await system.ended(batch)
    return batch


async def started_again(system: System, batch: str, **body: object) -> dict:  # type: ignore[type-arg]
    answer = await system.post(f"batches/{batch}/restart", {"outcome": "failed", **body})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def stored(system: System, batch: str) -> dict[str, str]:
    """The contacts that entered a batch, with the text of their properties."""
    async with system.engine.pool.connection() as connection:
        files = await connection.execute("select file from cohorts where batch_id = %s and entry order by id", (batch,))
        names = [each["file"] for each in await files.fetchall()]
    found: dict[str, str] = {}
    for name in names:
        with system.engine.files.local(name) as path:
            table = pq.read_table(path)
        for contact, properties in zip(table["id"].to_pylist(), table["properties"].to_pylist(), strict=True):
            assert contact not in found
            found[contact] = properties
    return found


async def test_exactly_those_who_failed_start_again_and_nobody_else(system: System) -> None:
    batch = await failing_batch(system)
    found = await started_again(system, batch)
    assert found["restartOf"] == {"batch": batch, "outcome": "failed", "step": None}
    done = await system.ended(found["id"])
    assert (done["state"], done["ledger"]["lines"], done["ledger"]["entered"]) == ("completed", 50, 50)
    assert done["ledger"]["steps"][0]["outcomes"] == {"failed": 50}
    failed = {line["contact"] for line in await system.lines(f"batches/{batch}/journal?outcome=failed")}
    again = [line["contact"] for line in await system.lines(f"batches/{found['id']}/journal")]
    assert (len(again), set(again)) == (50, failed)
    assert (await system.batch(batch))["restartOf"] is None


async def test_properties_are_those_of_the_entry_to_the_byte(system: System) -> None:
    await system.publish(MAIL)
    properties = [
        '{"b":1,"a": {"z": [1, {"y":null}], "big": 123456789012345678901234567890}, "c": 1.10, "é": "\\u00e9\\n"}',
        "{}",
        '{"emailAddress": "nobody", "n": 1e400}',
    ]
    await system.start(b"{}")  # a batch that is none of this one's business
    rows = [f'{{"properties": {text}, "id": {json.dumps(f"é{i} ")}}}' for i, text in enumerate(properties)]
    batch = await system.start("\n".join(rows).encode())
    await system.ended(batch)
    again = await started_again(system, batch)
    await system.ended(again["id"])
    before, after = await stored(system, batch), await stored(system, again["id"])
    assert len(before) >= 2
    assert after == before


async def test_each_contact_enters_once_however_many_steps_it_failed_at(system: System) -> None:
    await system.publish(TWO_MAILS)
    kinds = [(good, other) for good in (True, False) for other in (True, False)]
    batch = await system.start(b"".join(row(i, *kinds[i % 4]) for i in range(200)))
    await system.ended(batch)
    everywhere = await started_again(system, batch)
    assert (await system.ended(everywhere["id"]))["ledger"]["entered"] == 150
    second = await started_again(system, batch, step="second")
    done = await system.ended(second["id"])
    assert done["ledger"]["entered"] == 100
    assert done["restartOf"]["step"] == "second"
    assert set(await stored(system, second["id"])) == {str(i) for i in range(200) if not kinds[i % 4][1]}


async def test_a_restart_can_be_held_and_walks_the_newest_version(system: System) -> None:
    batch = await failing_batch(system, 10)
    await system.publish(EXIT)
    found = await started_again(system, batch, options={"hold": True})
    held = await system.until(
        found["id"], lambda each: each["waiting"] is not None and each["waiting"]["kind"] == "held"
    )
    assert (held["version"], held["ledger"]["entered"]) == (2, 2)
    await system.post(f"batches/{found['id']}/resume", {})
    assert (await system.ended(found["id"]))["ledger"]["steps"][0]["outcomes"] == {"passed": 2}


async def test_a_restart_of_a_paused_journey_is_paused(system: System) -> None:
    batch = await failing_batch(system, 10)
    await system.post("journeys/1/pause", {})
    found = await started_again(system, batch)
    assert found["state"] == "paused"
    await system.until(found["id"], lambda each: each["ledger"]["entered"] == 2)
    await system.post("journeys/1/resume", {})
    await system.ended(found["id"])


async def test_a_restart_can_be_restarted(system: System) -> None:
    batch = await failing_batch(system, 20)
    first = await started_again(system, batch)
    await system.ended(first["id"])
    second = await started_again(system, first["id"])
    assert (await system.ended(second["id"]))["ledger"]["entered"] == 4
    assert await stored(system, second["id"]) == await stored(system, first["id"])


async def test_the_same_key_starts_again_only_once(system: System) -> None:
    batch = await failing_batch(system, 10)
    key = {"Idempotency-Key": "again"}
    one = await system.post(f"batches/{batch}/restart", {"outcome": "failed"}, **key)
    two = await system.post(f"batches/{batch}/restart", {"outcome": "failed"}, **key)
    assert one.json()["id"] == two.json()["id"]
    other = await system.post(f"batches/{batch}/restart", {"outcome": "sent"}, **key)
    assert other.status_code == 409
    await system.ended(one.json()["id"])


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"outcome": "lost"}, 400, "sent, failed, suppressed"),
        ({"outcome": "standing"}, 400, "sent, failed, suppressed"),
        ({"outcome": "failed", "step": "post"}, 400, "There are mail"),
        ({"outcome": "unknown"}, 409, "2 failed, 8 sent"),
        ({"outcome": "unknown", "step": "mail"}, 409, "the step mail"),
        ({}, 400, "outcome"),
        ({"outcome": "failed", "steps": "mail"}, 400, "step"),
        ({"outcome": "failed", "options": {"held": True}}, 400, "hold"),
        ({"outcome": "failed", "step": 3}, 400, "step"),
    ],
)
async def test_what_cannot_be_started_again_is_refused_in_words(
    system: System, body: object, status: int, words: str
) -> None:
    batch = await failing_batch(system, 10)
    answer = await system.post(f"batches/{batch}/restart", body)
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text
    assert len((await system.get("batches")).json()) == 1


async def test_a_batch_that_is_forgotten_or_of_others_is_not_started_again(system: System) -> None:
    batch = await failing_batch(system, 10)
    assert (await system.post("batches/b_none/restart", {"outcome": "failed"})).status_code == 404
    await system.post(f"batches/{batch}/forget", {})
    answer = await system.post(f"batches/{batch}/restart", {"outcome": "failed"})
    assert (answer.status_code, "were deleted on" in answer.json()["detail"]) == (410, True)


async def test_a_restart_is_of_those_who_had_left_when_it_was_asked_for(idle_system: System) -> None:
    system = idle_system
    await system.publish(WAIT)
    async with working(system):
        batch = await system.start(contacts(150))
        await system.until(batch, lambda each: each["ledger"]["entered"] == 150)
        refused = await system.post(f"batches/{batch}/restart", {"outcome": "passed"})
        assert (refused.status_code, "None has left it" in refused.json()["detail"]) == (409, True)
        await system.turn(days=3, seconds=5)
        await system.ended(batch)
    found = await started_again(system, batch, outcome="passed", step="days")
    async with system.engine.pool.connection() as connection:  # as if a second cohort had left after the call
        await connection.execute(
            "update batches set restart_upto = (select min(id) from journal where batch_id = %s) where id = %s",
            (batch, found["id"]),
        )
    async with working(system):
        some = await system.until(found["id"], lambda each: each["state"] == "running")
    assert some["ledger"]["entered"] in (50, 100)


async def test_contacts_are_kept_for_a_restart_when_the_batch_is_swept(system: System) -> None:
    batch = await failing_batch(system)
    await system.turn(hours=2)
    await retention.sweep(system.engine)
    found = await started_again(system, batch)
    assert (await system.ended(found["id"]))["ledger"]["entered"] == 50


async def test_a_batch_whose_contacts_are_being_read_is_not_forgotten_meanwhile(idle_system: System) -> None:
    system = idle_system
    async with working(system):
        batch = await failing_batch(system)
    found = await started_again(system, batch)
    answer = await system.post(f"batches/{batch}/forget", {})
    assert (answer.status_code, "being read for a new batch" in answer.json()["detail"]) == (409, True)
    await system.turn(days=40)
    await retention.forget_outlived(system.engine)
    async with working(system):
        await system.ended(found["id"])
        assert (await system.post(f"batches/{batch}/forget", {})).status_code == 200


async def test_where_files_are_gone_the_new_batch_fails_whole(idle_system: System) -> None:
    system = idle_system
    async with working(system):
        batch = await failing_batch(system)
    found = await started_again(system, batch)
    async with system.engine.pool.connection() as connection:
        rows = await connection.execute("select file from cohorts where batch_id = %s order by id limit 1", (batch,))
        (first,) = [each["file"] for each in await rows.fetchall()]
    system.engine.files.delete(first)
    async with working(system):
        done = await system.ended(found["id"])
    assert (done["state"], done["errorCode"], done["ledger"]["entered"]) == ("failed", "unreadable", 0)
    assert "not all kept any more" in done["error"]


async def test_singles_start_again_once_each_with_what_they_entered_with_last(idle_system: System) -> None:
    system = idle_system
    await system.publish(MAIL)
    for turn, name in enumerate(("s1", "s2", "s1")):
        body = {"id": name, "properties": {"emailAddress": "nobody", "turn": turn}}
        batch = (await system.post("journeys/1/commence", body)).json()["batchId"]
    async with working(system):
        done = await system.ended(batch)
        assert done["ledger"]["steps"][0]["outcomes"] == {"failed": 3}
        found = await started_again(system, batch)
        assert (await system.ended(found["id"]))["ledger"]["lines"] == 2
    kept = {contact: json.loads(text)["turn"] for contact, text in (await stored(system, found["id"])).items()}
    assert kept == {"s1": 2, "s2": 1}


async def test_singles_that_were_recalled_before_they_were_gathered_can_start_again(idle_system: System) -> None:
    system = idle_system
    await system.publish(EXIT)
    for name in ("s1", "s2"):
        batch = (await system.post("journeys/1/commence", {"id": name, "properties": {"of": name}})).json()["batchId"]
    await system.post(f"batches/{batch}/cancel", {})
    async with working(system):
        await system.until(batch, lambda each: each["ledger"]["entered"] == 2)
        found = await started_again(system, batch, outcome="cancelled")
        assert (await system.ended(found["id"]))["state"] == "completed"
    assert await stored(system, found["id"]) == {"s1": '{"of":"s1"}', "s2": '{"of":"s2"}'}


async def test_a_batch_from_before_entries_were_marked_starts_again_as_long_as_its_files_are_there(
    system: System,
) -> None:
    batch = await failing_batch(system)
    async with system.engine.pool.connection() as connection:
        await connection.execute("update cohorts set entry = false, arrived = null where batch_id = %s", (batch,))
    found = await started_again(system, batch)
    assert (await system.ended(found["id"]))["ledger"]["entered"] == 50
    await system.turn(hours=2)
    await retention.sweep(system.engine)
    found = await started_again(system, batch)
    assert (await system.ended(found["id"]))["errorCode"] == "unreadable"


@pytest.mark.parametrize("after", ["parts", "stored"])
async def test_a_worker_that_dies_while_it_reads_leaves_nothing_and_the_next_begins_again(
    idle_system: System, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    system = idle_system
    async with working(system):
        batch = await failing_batch(system)
    found = await started_again(system, batch)

    async def die(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr("caravan.engine.reading.enter" if after == "stored" else "caravan.engine.reading._store", die)
        if after == "parts":
            patch.setattr("caravan.engine.reading._store", lambda *_: (_ for _ in ()).throw(Crash()))
        with pytest.raises(Crash):
            await read(system.engine, found["id"], asyncio.Event())
    assert (await system.batch(found["id"]))["state"] == "reading"
    await read(system.engine, found["id"], asyncio.Event())
    await read(system.engine, found["id"], asyncio.Event())  # running twice does nothing twice
    assert (await system.batch(found["id"]))["ledger"]["entered"] == 50
    async with working(system):
        done = await system.ended(found["id"])
    assert done["ledger"]["steps"][0]["outcomes"] == {"failed": 50}


async def test_the_number_is_known_before(system: System) -> None:
    await system.publish(TWO_MAILS)
    batch = await system.start(b"".join(row(i, good=i % 2 == 0, other=i % 2 == 0) for i in range(100)))
    await system.ended(batch)
    async with system.engine.pool.connection() as connection:
        chosen = await restart.choose(system.engine, connection, await batches.get(connection, batch), "failed", None)
    assert await restart.count(system.engine, chosen) == 50


def test_parts_are_cut_to_size_and_lose_none() -> None:
    tables = [
        pa.table({"line": range(n, n + size), "id": [str(i) for i in range(n, n + size)], "properties": ["{}"] * size})
        for n, size in ((1, 3), (4, 250), (254, 1), (255, 46))
    ]
    cut = list(restart._cut(tables, 100))
    assert [each.num_rows for each in cut] == [100, 100, 100, 0]
    assert np.concatenate([each["line"].to_numpy() for each in cut]).tolist() == list(range(1, 301))
