"""Splits by what contacts did before."""

import json
from datetime import timedelta

from tests.integration.conftest import System

LOYAL = """
journey: 1
name: Loyal
steps:
  - id: loyalty
    split:
      - {if: "count('purchase', 30 days) > 1 and city = 'Oslo'", to: loyal}
      - {if: "count('purchase') > 0 and count('opened', 2 days) = 0", to: asleep}
      - {else: stranger}
  - {id: loyal, wait: 30 days}
  - {id: asleep, wait: 30 days}
  - {id: stranger, wait: 30 days}
"""


def people(**cities: str) -> bytes:
    rows = ({"id": id, "properties": {"city": city}} for id, city in cities.items())
    return b"".join(json.dumps(each).encode() + b"\n" for each in rows)


async def happened(system: System, contact: str, event: str, *days_ago: float) -> None:
    for number, days in enumerate(days_ago):
        at = (system.clock.now() - timedelta(days=days)).isoformat()
        body = {"id": contact, "event": event, "at": at, "key": f"{contact}/{event}/{number}"}
        assert (await system.post("events", body)).json()["taken"] == 1


async def some_history(system: System) -> None:
    await happened(system, "anna", "purchase", 1, 29)
    await happened(system, "bo", "purchase", 1, 31)
    await happened(system, "cia", "purchase", 40)
    await happened(system, "cia", "opened", 1)
    await happened(system, "dan", "purchase", 1, 2, 3)
    await happened(system, "eve", "opened", 1)


CITIES = {"anna": "Oslo", "bo": "Oslo", "cia": "Oslo", "dan": "Bergen", "eve": "Oslo"}
WAYS = {"anna": "loyal", "bo": "asleep", "cia": "stranger", "dan": "asleep", "eve": "stranger"}


async def test_contacts_go_by_the_number_of_their_events(system: System) -> None:
    await system.publish(LOYAL)
    await some_history(system)
    batch = await system.start(people(**CITIES))
    await system.until(batch, lambda found: sum(each["standing"] for each in found["ledger"]["steps"][1:]) == 5)
    lines = await system.lines(f"batches/{batch}/journal?step=loyalty")
    assert {each["contact"]: each["detail"] for each in lines} == WAYS

    (entry,) = (await system.get("contacts/bo")).json()["entries"]
    why = entry["stays"][0]["why"]
    assert (why["to"], why["agrees"]) == ("asleep", True)
    values = {each["property"]: each["read"] for tried in why["conditions"] for each in tried["values"]}
    assert values == {
        "city": "Oslo",
        "count('purchase', 30 days)": 1,
        "count('purchase')": 2,
        "count('opened', 2 days)": 0,
    }


async def test_a_held_batch_foretells_where_they_would_go(system: System) -> None:
    await system.publish(LOYAL)
    await some_history(system)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1, "options": {"hold": True}})).json()
    await system.http.put(opened["uploadUrl"], content=people(**CITIES), headers={"Content-Type": "text/plain"})
    batch = opened["batchId"]
    await system.until(batch, lambda found: found["state"] == "paused")
    branches = (await system.get(f"batches/{batch}/preflight")).json()["branches"]
    assert {each["to"]: each["contacts"] for each in branches} == {"loyal": 1, "asleep": 2, "stranger": 2}


async def test_events_of_another_customer_do_not_count(system: System) -> None:
    async with system.engine.pool.connection() as connection:
        insert = """insert into events (customer_id, contact, name, at, properties, source)
            select %s, 'anna', 'purchase', now(), '{}', 'api' from generate_series(1, 5)"""
        await connection.execute(insert, (system.customer + 1,))
    await system.publish(LOYAL)
    batch = await system.start(people(anna="Oslo"))
    found = await system.until(batch, lambda found: found["ledger"]["steps"][3]["standing"] == 1)
    assert found["ledger"]["steps"][0]["outcomes"] == {"passed": 1}


async def test_where_nothing_is_counted_it_is_said_with_the_line(system: System) -> None:
    for definition, place, words in (
        (
            "journey: 1\nname: N\nexit_when:\n  - {if: \"count('opened') > 1\"}\nsteps:\n  - {id: out, wait: 1 day}\n",
            4,
            "only splits and the weights of an ab count events, as count('opened') would",
        ),
        (LOYAL.replace("count('purchase') > 0", "count(purchase) > 0"), 8, "count takes an event, and how far back"),
        (LOYAL.replace("2 days) = 0", "2 dais) = 0"), 8, "'2 DAIS' is no duration"),
    ):
        answer = await system.http.put(system.path("journeys/1"), content=definition)
        assert answer.status_code == 422
        (problem,) = answer.json()["problems"]
        assert (problem["line"], words in problem["message"]) == (place, True), problem


WEIGHED = """
journey: 1
steps:
  - id: dealt
    ab:
      - {weight: "2 * count('purchase', 30 days) - 1", to: more}
      - {weight: "count('never')", to: less}
      - {weight: "abs(count('opened') / 0)", to: less}
  - {id: more, wait: 30 days}
  - {id: less, wait: 30 days}
"""


async def test_weights_are_reckoned_of_the_events_of_each_contact(system: System) -> None:
    await system.publish(WEIGHED)
    await some_history(system)
    many = {f"other{number}": "Oslo" for number in range(300)}
    batch = await system.start(people(**CITIES, **many))
    await system.until(batch, lambda found: sum(each["standing"] for each in found["ledger"]["steps"][1:]) == 305)
    lines = await system.lines(f"batches/{batch}/journal?step=dealt")
    went = {each["contact"]: each["detail"] for each in lines}
    assert {went[each] for each in ("anna", "bo", "dan")} == {"more"}, "all their weight is there"
    evenly = [way for contact, way in went.items() if contact in many]
    assert 60 < evenly.count("more") < 140, "one arm of three, since none has a weight"
    (entry,) = (await system.get("contacts/anna")).json()["entries"]
    why = entry["stays"][0]["why"]
    assert [(each["weight"], each["to"]) for each in why["arms"]] == [(3.0, "more"), (0.0, "less"), (0.0, "less")]
    assert (why["to"], why["agrees"]) == ("more", True)
