"""One contact in every batch, and why it went where it did."""

import json

import pytest

from tests.integration.conftest import System
from tests.integration.journeys_for_tests import EXIT, MAIL

SORTED = """
journey: 2
name: Sorted
steps:
  - id: which
    split:
      - if: score > 10 and city = 'Bonn'
        to: deal
      - if: since < now() - interval 1 day
        to: deal
      - if: vip is null
        to: deal
      - else: out
  - id: deal
    ab:
      - {weight: 1, to: out}
      - {weight: 3, to: mail}
  - id: mail
    email: {from: shop@example.com, to: "{{ mail }}", subject: Hello, text: Hello}
    next: out
  - id: out
    exit: {}
"""


def row(contact: str, **properties: object) -> bytes:
    return json.dumps({"id": contact, "properties": properties}).encode() + b"\n"


async def contact(system: System, path: str) -> dict:  # type: ignore[type-arg]
    answer = await system.get(f"contacts/{path}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_contact_is_told_in_all_its_batches_in_order_of_time(system: System) -> None:
    await system.publish(EXIT)
    await system.publish(SORTED, 2)
    first = await system.start(b"".join(row(f"c/{n}", n=n) for n in range(250)))
    await system.ended(first)
    second = await system.start(row("c/7", score=11, city="Bonn", mail="a@example.com"), 2)
    await system.ended(second)
    other = await system.start(row("somebody else"))
    await system.ended(other)
    answer = await system.post("journeys/1/commence", {"id": "c/7", "properties": {"by": "single"}})
    single = answer.json()["batchId"]
    await system.until(single, lambda found: any(each["outcomes"] for each in found["ledger"]["steps"]))
    found = await contact(system, "c%2F7")
    assert [each["batch"] for each in found["entries"]] == [first, second, single]
    assert [each["line"] for each in found["entries"]] == [8, 1, 1]
    assert [each["journey"] for each in found["entries"]] == [1, 2, 1]
    assert found["entries"][0]["properties"] == {"n": 7}
    assert found["entries"][2]["properties"] == {"by": "single"}
    assert found["looked"] == {"batches": 4, "of": 4}
    for entry in found["entries"]:
        journal = await system.lines(f"batches/{entry['batch']}/journal?contact=c%2F7")
        assert sorted((each["step"], each["outcome"], each["detail"] or "") for each in journal) == sorted(
            (each["step"], each["outcome"], each["detail"] or "") for each in entry["stays"]
        )
    narrowed = await contact(system, "c%2F7?limit=1")
    assert [each["batch"] for each in narrowed["entries"]] == [single]
    assert narrowed["looked"] == {"batches": 1, "of": 4}


@pytest.mark.parametrize(
    ("properties", "decided", "truths", "read"),
    [
        ({"score": "11", "city": "Bonn", "vip": 1}, 0, [True, False, False], {"score": 11.0, "since": None}),
        ({"score": "many", "since": "2001-02-03", "vip": 1}, 1, [False, True, False], {"score": None}),
        ({"score": None, "since": "soon"}, 2, [False, False, True], {"score": None, "since": None, "vip": None}),
        ({"score": 3, "vip": 1, "since": "2050-01-01"}, None, [False, False, False], {"score": 3.0, "vip": "1"}),
        ({"score": 10**40, "city": "Bonn", "vip": "\u2028ü"}, 0, [True, False, False], {"vip": "\u2028ü"}),
        ({"score": "1e999", "city": "Köln", "vip": True}, None, [False, False, False], {"vip": "true"}),
        ({"score": 9007199254740993, "city": ["Bonn"], "vip": {}}, None, [False, False, False], {"vip": "{}"}),
    ],
)
async def test_a_split_tells_its_conditions_its_values_and_what_decided(
    system: System,
    properties: dict,  # type: ignore[type-arg]
    decided: int | None,
    truths: list[bool],
    read: dict,  # type: ignore[type-arg]
) -> None:
    await system.publish(SORTED, 2)
    batch = await system.start(row("one", mail="a@example.com", **properties), 2)
    await system.ended(batch)
    await system.http.put(system.path("retention"), json={"days": 36_500})  # else upkeep may forget it after the turn
    await system.turn(days=10_000)  # now() is that of the split, whenever it is asked for
    (entry,) = (await contact(system, "one"))["entries"]
    stay = entry["stays"][0]
    why = stay["why"]
    assert (why["decided"], [each["true"] for each in why["conditions"]]) == (decided, truths)
    assert why["agrees"]
    assert why["to"] == stay["detail"]
    looked = {each["property"]: each for condition in why["conditions"] for each in condition["values"]}
    assert {name: looked[name]["read"] for name in read} == read
    assert looked["score"]["as"] == "number"
    assert looked["since"]["as"] == "time"
    given = properties.get("score")
    assert looked["score"]["value"] == (None if given is None else str(given))
    if decided is not None:
        deal = entry["stays"][1]
        assert deal["why"]["arms"] == [{"weight": 1, "to": "out"}, {"weight": 3, "to": "mail"}]
        assert deal["why"]["to"] == deal["detail"]
        assert deal["why"]["agrees"]


async def test_a_contact_that_entered_no_batch_is_not_found(system: System) -> None:
    await system.publish(EXIT)
    batch = await system.start(row("here"))
    await system.ended(batch)
    answer = await system.get("contacts/elsewhere")
    assert answer.status_code == 404
    assert "elsewhere" in answer.json()["detail"]
    await system.post(f"batches/{batch}/forget", {})
    assert (await system.get("contacts/here")).status_code == 404


LISTENING = """
journey: 1
exit_when:
  - event: unsubscribed
steps:
  - id: hold
    wait: 1 day
    next: answer
  - id: answer
    wait_for: {any: [{event: purchase, to: out}, {event: called, to: out}], timeout: 2 days}
    next: out
  - id: out
    exit: {}
"""


async def test_of_a_contact_that_stands_it_is_told_what_for(system: System) -> None:
    await system.publish(LISTENING)
    batch = await system.start(row("c1"))
    await system.until(batch, lambda found: found["ledger"]["steps"][0]["standing"] == 1)
    (entry,) = (await contact(system, "c1"))["entries"]
    assert entry["properties"] == {}
    assert entry["stays"][-1]["detail"].startswith("leaves the journey with unsubscribed; due at 20")
    await system.turn(hours=25)
    await system.until(batch, lambda found: found["ledger"]["steps"][1]["standing"] == 1)
    (entry,) = (await contact(system, "c1"))["entries"]
    assert (entry["stays"][-1]["step"], entry["stays"][-1]["outcome"]) == ("answer", "standing")
    words = "waits for called or purchase; leaves the journey with unsubscribed; due at 20"
    assert entry["stays"][-1]["detail"].startswith(words)


async def test_properties_are_told_of_a_journey_that_only_sends(system: System) -> None:
    await system.publish(MAIL)
    batch = await system.start(row("c1", emailAddress="c1@example.com", firstname="Zoë"))
    await system.ended(batch)
    (entry,) = (await contact(system, "c1"))["entries"]
    assert entry["properties"] == {"emailAddress": "c1@example.com", "firstname": "Zoë"}
