"""Forgetting one person: nothing of it is found anywhere, everybody else goes on, and all counts stay."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from psycopg import sql

from caravan.delivery.key import DeliveryKey
from caravan.engine import erasure
from caravan.engine.answer import asked_about
from caravan.errors import Gone, InvalidInput, NotFound
from caravan.store import erasures
from caravan.store.erasures import Erasure
from tests.integration.conftest import System, working
from tests.integration.journeys_for_tests import EXIT

ID, NAME, ADDRESS = "kunde-4711", "Zoë Ångström", "zoe.angstrom@example.com"
MARKS = (ID, NAME, ADDRESS, json.dumps(NAME)[1:-1])

WALK = """
name: Walk
steps:
  - id: hello
    email: {from: shop@example.com, to: "{{ mail }}", subject: "Hello {{ name }}", text: "Dear {{ name }}"}
    next: fork
  - id: fork
    split:
      - {if: name = 'never', to: out}
      - {else: days}
  - {id: days, wait: 3 days, next: again}
  - id: again
    email: {from: shop@example.com, to: "{{ mail }}", subject: "Again", text: "Dear {{ name }}"}
  - {id: out, exit: {}}
"""


@pytest.fixture
def system(idle_system: System) -> System:
    """A system whose tests say when it works."""
    return idle_system


def rows(count: int, *others: str) -> bytes:
    """So many contacts, the one that is to be forgotten in their midst."""
    people = [{"id": f"c{n}", "properties": {"name": f"N{n}", "mail": f"c{n}@example.com"}} for n in range(count)]
    people.insert(count // 2, {"id": ID, "properties": {"name": NAME, "mail": ADDRESS}})
    return "\n".join([*(json.dumps(each, ensure_ascii=False) for each in people), *others]).encode()


async def forgotten(system: System, contact: str = ID) -> Erasure:
    """Forget a contact, pass after pass, as a job does."""
    return await finished(system, await erasure.request(system.engine, system.customer, contact))


async def finished(system: System, found: Erasure) -> Erasure:
    async with asyncio.timeout(120):
        while found.finished_at is None:
            found = await erasure.erase(system.engine, found.id)
            await asyncio.sleep(0.2)
    return found


def kept(system: System) -> list[str]:
    """Where anything of the contact is found: in files of batches, or in a table."""
    places = []
    store: Path = system.engine.settings.folder / "files"
    files = [each for each in store.rglob("*") if each.is_file()]
    places += [str(each) for each in files if _tells(str(pq.read_table(each).to_pylist()))]
    url = system.engine.settings.database_url
    assert url is not None
    with psycopg.connect(url) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        for (table,) in tables:
            query = sql.SQL("select t::text from {} t").format(sql.Identifier(table))
            places += [f"{table}: {row}" for (row,) in connection.execute(query) if _tells(row)]
            if table in ("sandbox", "returns"):
                column = sql.Identifier("content" if table == "sandbox" else "raw")
                query = sql.SQL("select {} from {}").format(column, sql.Identifier(table))
                places += [table for (row,) in connection.execute(query) if row and _tells(bytes(row).decode())]
    return places


def _tells(text: str) -> bool:
    return any(mark in text for mark in MARKS)


async def started(system: System, content: bytes, definition: str = WALK) -> str:
    await system.publish("journey: 1\n" + definition)
    return await system.start(content)


def standing(found: dict[str, Any]) -> dict[str, int]:
    return {each["step"]: each["standing"] for each in found["ledger"]["steps"] if each["standing"]}


async def test_nothing_is_left_of_a_contact_and_the_others_go_on(system: System) -> None:
    refused = [json.dumps({"id": ID, "properties": {"name": NAME}}), "{" + f'"id": "{ID}", ']
    async with working(system):
        batch = await started(system, rows(250, *refused))
        await system.until(batch, lambda found: standing(found) == {"days": 251})
        event = {"id": ID, "event": "purchase", "key": "1", "properties": {"who": NAME}}
        assert (await system.post("events", event)).json()["taken"] == 1
        assert (await system.post("events", {"id": "c1", "event": "purchase"})).json()["taken"] == 1
        before = await system.batch(batch)
        assert kept(system)

        found = await forgotten(system)
        assert found.erased["events"] == 1
        assert found.erased["batches"] == 1
        assert kept(system) == []
        assert (found.contact, found.lines, found.replaced) == (None, {}, [])
        assert (await system.get(f"contacts/{ID}")).status_code == 404
        assert (await system.get(f"contacts/{ID}/events")).json() == []
        assert await system.batch(batch) == before
        assert len(await system.lines(f"batches/{batch}/rejects")) == 2
        (nobody,) = [each for each in await system.lines(f"batches/{batch}/journal?step=hello") if not each["contact"]]
        assert (nobody["line"], nobody["outcome"], nobody["detail"]) == (126, "sent", None)
        (other,) = (await system.get("contacts/c1/events")).json()
        assert other["event"] == "purchase"

        system.sandbox.mails.clear()
        await system.turn(days=3)
        ended = await system.ended(batch)
    assert ended["ledger"]["steps"][-2]["outcomes"] == {"forgotten": 1, "sent": 250}
    sent = {address for mail in system.sandbox.mails for address in mail.recipients}
    assert (len(sent), ADDRESS in sent) == (250, False)
    assert kept(system) == []


async def test_contacts_are_forgotten_while_everybody_moves(system: System) -> None:
    """Many at once, in the midst of splits and mails: whoever was not forgotten gets each mail once, and the ledger
    balances at each look."""
    people = [{"id": f"p{n}", "properties": {"name": f"N{n}", "mail": f"p{n}@example.com"}} for n in range(1_200)]
    gone = [f"p{n}" for n in range(0, 1_200, 200)]
    async with working(system):
        batch = await started(system, "\n".join(map(json.dumps, people)).encode(), WALK.replace("3 days", "1 second"))
        erasures_ = [await erasure.request(system.engine, system.customer, each) for each in gone]

        found, *_ = await asyncio.gather(system.ended(batch), *(finished(system, each) for each in erasures_))
    steps = {each["step"]: each for each in found["ledger"]["steps"]}
    assert [steps[each]["arrived"] for each in ("hello", "fork", "days", "again")] == [1_200] * 4
    for step, subject in (("hello", "Hello"), ("again", "Again")):
        sent = [mail for mail in system.sandbox.mails if f"\r\nSubject: {subject}".encode() in mail.content]
        addresses = [address for mail in sent for address in mail.recipients]
        assert len(addresses) == len(set(addresses)) == steps[step]["outcomes"]["sent"]
        stayed = {each["properties"]["mail"] for each in people if each["id"] not in gone}
        assert stayed <= set(addresses)
    names = {json.dumps(each) for each in gone}
    async with system.engine.pool.connection() as connection:
        named = await erasures.named_files(connection, batch)  # what moves wrote that were void is swept later
    for file in named:
        table = pq.read_table(system.engine.settings.folder / "files" / file)
        ids = table["id"] if "id" in table.column_names else table["contact"]
        assert not names & set(map(json.dumps, ids.to_pylist())), file


async def test_no_event_finds_a_forgotten_contact_and_those_of_others_do(system: System) -> None:
    definition = """
name: Bought
steps:
  - id: bought
    wait_for: {event: purchase, timeout: 2 days, then: thanks, else: late}
  - {id: thanks, wait: 30 days}
  - {id: late, wait: 30 days}
"""
    async with working(system):
        batch = await started(system, rows(20), definition)
        await system.until(batch, lambda found: standing(found) == {"bought": 21})
        await system.post("events", {"id": "c3", "event": "purchase"})
        await system.until(batch, lambda found: standing(found) == {"bought": 20, "thanks": 1})
        await forgotten(system)
        for contact in (ID, "c4"):
            await system.post("events", {"id": contact, "event": "purchase"})
        await system.until(batch, lambda found: standing(found) == {"bought": 19, "thanks": 2})
        await system.turn(days=2)
        await system.until(batch, lambda found: standing(found) == {"late": 19, "thanks": 2})
    assert {each["contact"] for each in await system.lines(f"batches/{batch}/journal?step=bought")} == {
        "",
        *(f"c{number}" for number in range(20)),
    }


async def test_a_cohort_that_is_being_sent_is_waited_for(system: System) -> None:
    batch = await started(system, rows(30))
    async with working(system):
        await system.until(batch, lambda found: standing(found) == {"days": 31})
    async with system.engine.pool.connection() as connection:
        cohort = await (await connection.execute("select id from cohorts where closed_at is null")).fetchone()
        assert cohort is not None
        take = "insert into windows (cohort_id, first, size, holder, taken_at) values (%s, 0, 10, 'x', now())"
        await connection.execute(take, (cohort["id"],))
    found = await erasure.request(system.engine, system.customer, ID)
    found = await erasure.erase(system.engine, found.id)
    assert found.waiting_for == f"a message step of batch {batch} is just sending to the contact's cohort"
    assert kept(system)
    async with system.engine.pool.connection() as connection:
        await connection.execute("delete from windows")
    assert (await forgotten(system)).id == found.id
    assert kept(system) == []


async def test_a_pass_that_is_cut_off_is_made_good_by_the_next(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    async with working(system):
        batch = await started(system, rows(30))
        await system.until(batch, lambda found: standing(found) == {"days": 31})
    found = await erasure.request(system.engine, system.customer, ID)
    with monkeypatch.context() as broken:
        broken.setattr(erasures, "forget_rows", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await erasure.erase(system.engine, found.id)
    assert [each for each in kept(system) if "erasures" not in each], "old files are there still"
    async with system.engine.pool.connection() as connection:
        await connection.execute("update erasures set held_until = now()")
    await forgotten(system)
    assert kept(system) == []


async def test_a_worker_that_holds_an_old_file_moves_nobody(system: System) -> None:
    """It claimed the cohort before; what it would commit then is void, and is done anew."""
    batch = await started(system, rows(30))
    async with working(system):
        await system.until(batch, lambda found: standing(found) == {"days": 31})
    async with system.engine.pool.connection() as connection:
        await connection.execute("update cohorts set holder = 'another' where closed_at is null")
    await forgotten(system)
    async with system.engine.pool.connection() as connection:
        (open_,) = await (await connection.execute("select holder from cohorts where closed_at is null")).fetchall()
    assert open_["holder"] is None
    async with working(system):
        await system.turn(days=3)
        ended = await system.ended(batch)
    assert ended["ledger"]["steps"][-2]["outcomes"] == {"forgotten": 1, "sent": 30}


async def test_a_batch_is_started_again_without_the_forgotten(system: System) -> None:
    async with working(system):
        batch = await started(system, rows(10), WALK.replace("3 days", "1 second"))
        await system.ended(batch)
        await forgotten(system)
        answer = await system.post(f"batches/{batch}/restart", {"outcome": "sent", "step": "hello"})
        assert answer.status_code == 200, answer.text
        again = await system.ended(answer.json()["id"])
    assert again["ledger"]["entered"] == 10


async def test_single_starts_are_forgotten_too(system: System) -> None:
    await system.publish("journey: 1\n" + WALK)
    started_ = await system.post("journeys/1/commence", {"id": ID, "properties": {"name": NAME, "mail": ADDRESS}})
    found = await erasure.request(system.engine, system.customer, ID)
    found = await erasure.erase(system.engine, found.id)
    assert found.waiting_for == "the contact is just entering a journey"
    async with working(system):
        await system.until(started_.json()["batchId"], lambda found: standing(found) == {"days": 1})
        await forgotten(system)
    assert kept(system) == []


async def test_what_comes_after_the_request_is_of_somebody_new(system: System) -> None:
    async with working(system):
        await started(system, rows(3))
        await forgotten(system)
        await system.turn(seconds=1)
        batch = await started(system, rows(3))
        await system.until(batch, lambda found: standing(found) == {"days": 4})
    assert [each["batch"] for each in (await system.get(f"contacts/{ID}")).json()["entries"]] == [batch]


async def test_a_question_about_a_forgotten_contact_is_answered_no_more(system: System) -> None:
    definition = """
name: Approve
steps:
  - id: approve
    ask: {url: "http://127.0.0.1:1/", timeout: 2 days, accepted: yes_, rejected: no_, else: late}
  - {id: yes_, wait: 30 days}
  - {id: no_, wait: 30 days}
  - {id: late, wait: 30 days}
"""
    async with working(system):
        batch = await started(system, rows(2), definition)
        await system.until(batch, lambda found: standing(found).get("approve") == 3)
        await forgotten(system)
    async with system.engine.pool.connection() as connection:
        (one,) = await (await connection.execute("select file from cohorts where closed_at is null")).fetchall()
    store = system.engine.settings.folder / "files"
    assert sorted(pq.read_table(store / one["file"])["id"].to_pylist()) == ["", "c0", "c1"]
    assert (await asked_about(system.engine, DeliveryKey(batch, 0, 0, 1))).contact == "c0"
    with pytest.raises(Gone):
        await asked_about(system.engine, DeliveryKey(batch, 0, 0, 2))


async def test_asking_for_it(system: System) -> None:
    async with working(system):
        answer = await system.http.delete(system.path("contacts/nobody%2Fhere"))
        assert answer.status_code == 202, answer.text
        told = answer.json()
        assert (told["state"], told["contactId"], told["finishedAt"]) == ("pending", "nobody/here", None)
        again = (await system.http.delete(system.path("contacts/nobody%2Fhere"))).json()
        assert again["id"] in (told["id"], told["id"] + 1)  # it may be finished already
        async with asyncio.timeout(60):
            while (found := (await system.get(f"erasures/{told['id']}")).json())["state"] == "pending":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert (found["contactId"], found["waitingFor"]) == (None, None)
    assert set(found["erased"].values()) == {0}
    assert datetime.fromisoformat(found["finishedAt"]).tzinfo == UTC
    assert (await system.get("erasures/999999")).status_code == 404
    async with system.engine.pool.connection() as connection:
        with pytest.raises(NotFound):
            await erasures.of_customer(connection, system.customer + 1, told["id"])
    for wrong in ("", "x" * 257):
        with pytest.raises(InvalidInput):
            await erasure.request(system.engine, system.customer, wrong)


async def test_a_journey_that_lets_contacts_in_once_lets_a_forgotten_one_in_again(system: System) -> None:
    once = "name: Once\nreentry: once\nsteps:\n  - {id: out, exit: {}}\n"
    async with working(system):
        await system.ended(await started(system, rows(3), once))
        await forgotten(system)
        await system.turn(seconds=1)
        found = await system.ended(await started(system, rows(3), once))
    assert (found["ledger"]["entered"], found["ledger"]["rejected"]) == (1, {"reentry_refused": 3})


async def test_nothing_is_done_twice_when_nothing_is_left(system: System) -> None:
    async with working(system):
        await system.ended(await started(system, rows(3), EXIT.partition("\n")[2].partition("\n")[2]))
        first = await forgotten(system)
        assert await erasure.erase(system.engine, first.id) == first


async def test_a_suppression_stands_on_and_does_not_say_whose_it_is(system: System) -> None:
    for reason in ("unsubscribed", "hard_bounce"):
        given = {"address": ADDRESS.upper(), "reason": reason, "detail": f"by {NAME}"}
        assert (await system.post("suppressions", given)).status_code == 200
    await system.post("suppressions", {"address": "c1@example.com"})
    lifted = await system.http.delete(system.path(f"suppressions?address={ADDRESS}&reason=hard_bounce"))
    assert lifted.json() == {"removed": 1}
    async with working(system):
        await system.until(await started(system, rows(3)), lambda found: standing(found) == {"days": 4})
        assert (await forgotten(system)).erased["suppressions"] == 1
        assert kept(system) == []
        await system.turn(seconds=1)
        system.sandbox.mails.clear()
        batch = await started(system, rows(3))
        found = await system.until(batch, lambda found: standing(found) == {"days": 4})
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 2, "suppressed": 2}
    (hidden, other) = (await system.get("suppressions")).json()
    assert (other["address"], hidden["reason"], hidden["detail"]) == ("c1@example.com", "unsubscribed", None)
    assert hidden["address"].startswith("hash:")
    again = await system.post("suppressions", [{"address": hidden["address"], "reason": "unsubscribed"}])
    assert again.json()["added"] == 0
    removed = await system.http.delete(system.path(f"suppressions?address={ADDRESS}"))
    assert removed.json() == {"removed": 1}
