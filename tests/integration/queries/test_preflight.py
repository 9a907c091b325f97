"""The preflight of a batch that is held for review, and whether what it foretells comes true."""

import json
from collections import Counter

import pytest

from caravan.queries import preflight as module
from tests.integration.conftest import System
from tests.integration.engine.test_hold import hold
from tests.integration.journeys_for_tests import EXIT, MAIL, SPRING, contacts

FORKS = """
journey: 1
name: Forks
steps:
  - id: city
    split:
      - if: city = 'Oslo'
        to: halves
      - if: signup > now() - interval 30 days
        to: offer
  - id: halves
    ab: [{weight: 70, to: days}, {weight: 30, to: offer}]
  - id: days
    wait: 3 days
    next: again
  - id: again
    split:
      - if: ltv >= 10
        to: days_later
      - else: offer
  - id: days_later
    wait: 1 day
    next: again
  - id: offer
    email:
      from: Shop <shop@example.com>
      to: "{{ emailAddress }}"
      subject: "{{ contact.firstname | upcase }}, hello"
      text: "Dear {{ nick | default: 'friend' }}{% if plan %} of {{ plan }}{% endif %}"
      html: "<p>{{ firstname }}</p>"
"""


def row(number: int, **properties: object) -> bytes:
    """One line of a file."""
    return json.dumps({"id": f"c{number}", "properties": properties}).encode() + b"\n"


def mixed(count: int = 240) -> bytes:
    """Contacts that take all the ways of FORKS; a few lack an address or a name."""
    return b"".join(
        row(
            number,
            city=("Oslo", "Bergen", "Rome")[number % 3],
            ltv=number % 20,
            signup="2999-01-01" if number % 2 else "1999-01-01",
            emailAddress={1: "", 2: "no address"}.get(number % 12, f"c{number}@example.com"),
            **({"firstname": f"N<{number}>"} if number % 5 else {}),
        )
        for number in range(count)
    )


async def _preflight(system: System, batch: str, query: str = "", status: int = 200) -> dict:  # type: ignore[type-arg]
    answer = await system.get(f"batches/{batch}/preflight{query}")
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def test_what_is_foretold_is_what_the_ledger_shows_after_the_resume(system: System) -> None:
    await system.publish(SPRING)
    batch = await hold(system, contacts(250) + row(900, emailAddress="", attributeName="yes") + b"nonsense\n")
    found = await _preflight(system, batch)
    assert set(found) == {"accepted", "rejected", "branches", "messages"}
    assert (found["accepted"], found["rejected"]) == (251, {"not_json": 1})
    assert found["branches"] == [
        {"step": "vip_or_not", "to": "vip_offer", "contacts": 126},
        {"step": "vip_or_not", "to": "offer", "contacts": 125},
    ]
    vip, offer = found["messages"]
    assert {key: vip[key] for key in ("step", "noRecipient", "missing")} == {
        "step": "vip_offer",
        "noRecipient": 1,
        "missing": {"emailAddress": 1, "firstname": 1},
    }
    assert set(vip) == {"step", "noRecipient", "missing", "samples"}
    assert (offer["noRecipient"], offer["missing"]) == (0, {})
    assert vip["samples"][0] == {
        "contact": "1",
        "to": "c1@example.com",
        "subject": "N1, this is for you",
        "text": "Dear N1",
        "html": None,
    }
    assert [len(each["samples"]) for each in found["messages"]] == [3, 3]
    assert not system.sandbox.mails
    await system.post(f"batches/{batch}/resume", {})
    done = await system.until(batch, lambda b: b["ledger"]["steps"][3]["standing"] == 251)
    steps = {each["step"]: each for each in done["ledger"]["steps"]}
    assert steps["vip_offer"]["arrived"] == 126
    assert steps["vip_offer"]["outcomes"] == {"sent": 125, "failed": 1}
    assert steps["offer"]["outcomes"] == {"sent": 125}


async def test_splits_behind_waits_and_shares_by_weight_are_decided_as_the_steps_decide(system: System) -> None:
    await system.publish(FORKS)
    batch = await hold(system, mixed())
    found = await _preflight(system, batch)
    ways = {(each["step"], each["to"]): each["contacts"] for each in found["branches"]}
    assert ways["city", "halves"] == 80
    assert ways["city", "offer"] == 80
    assert ways["city", None] == 80
    assert ways["halves", "days"] + ways["halves", "offer"] == 80
    assert ways["again", "days_later"] + ways["again", "offer"] == ways["halves", "days"]
    assert {each["step"] for each in found["branches"] if "asOf" in each} == {"city"}
    (offer,) = found["messages"]
    await system.post(f"batches/{batch}/resume", {})
    at_waits = await system.until(
        batch, lambda b: b["ledger"]["steps"][2]["standing"] + sum(b["ledger"]["steps"][5]["outcomes"].values()) == 160
    )
    assert at_waits["ledger"]["steps"][2]["arrived"] == ways["halves", "days"]
    await system.turn(days=3, seconds=5)
    on_their_way = ways["again", "days_later"]
    done = await system.until(batch, lambda b: b["ledger"]["steps"][4]["standing"] == on_their_way)
    mails = 80 + ways["halves", "offer"] + ways["again", "offer"]
    done = await system.until(batch, lambda b: sum(b["ledger"]["steps"][5]["outcomes"].values()) == mails)
    outcomes = done["ledger"]["steps"][5]["outcomes"]
    assert outcomes == {"sent": mails - offer["noRecipient"], "failed": offer["noRecipient"]}
    assert offer["noRecipient"] > 0


async def test_those_whom_a_condition_of_the_journey_lets_go_are_foretold(system: System) -> None:
    """At each step where they are looked at: waits and messages. Splits still decide about them."""
    rules = "goal: {if: ltv = 15}\nexit_when: [{event: purchase}, {if: ltv >= 14}, {if: city = 'Oslo' and ltv = 3}]\n"
    await system.publish(rules + FORKS)
    batch = await hold(system, mixed())
    found = await _preflight(system, batch)
    exits = {(each["step"], each["outcome"], each["rule"]): each["contacts"] for each in found["exits"]}
    words = "once this is true of them: "
    oslo = (f"{words}ltv >= 14", f"{words}city = 'Oslo' and ltv = 3")
    assert set(exits) == {
        *((step, "goal", f"{words}ltv = 15") for step in ("days", "offer")),
        *((step, "exited", oslo[0]) for step in ("days", "offer")),
        *((step, "exited", oslo[1]) for step in ("days", "offer")),
    }
    assert sum(number for (_, outcome, _), number in exits.items() if outcome == "goal") == 12
    ways = {(each["step"], each["to"]): each["contacts"] for each in found["branches"]}
    left_at_days = sum(number for (step, *_), number in exits.items() if step == "days")
    assert ways["again", "days_later"] + ways["again", "offer"] == ways["halves", "days"] - left_at_days
    await system.post(f"batches/{batch}/resume", {})
    wanted = Counter[str]()
    for (step, outcome, _), number in exits.items():
        wanted[outcome] += number if step == "days" else 0
    days = await system.until(batch, lambda b: b["ledger"]["steps"][2]["outcomes"] == wanted)
    assert days["ledger"]["steps"][2]["standing"] == ways["halves", "days"] - left_at_days


async def test_a_placeholder_counts_as_missing_only_where_its_message_would_print_nothing(system: System) -> None:
    await system.publish(FORKS)
    batch = await hold(
        system,
        row(1, signup="2999-01-01", emailAddress="a@example.com", firstname="<Ana>", plan=" ")
        + row(2, signup="2999-01-01", emailAddress="b@example.com", firstname="")
        + row(3, signup="2999-01-01", EMAILADDRESS="c@example.com", Firstname="Cleo"),
    )
    (offer,) = (await _preflight(system, batch))["messages"]
    assert offer["missing"] == {"firstname": 1, "plan": 1}
    assert offer["noRecipient"] == 0
    assert offer["samples"][0] == {
        "contact": "c1",
        "to": "a@example.com",
        "subject": "<ANA>, hello",
        "text": "Dear friend of  ",
        "html": "<p>&lt;Ana&gt;</p>",
    }


async def test_any_contacts_messages_are_shown_by_its_id(system: System) -> None:
    await system.publish(SPRING)
    batch = await hold(system, contacts(250))
    vip, offer = (await _preflight(system, batch, "?contact=242"))["messages"]
    assert (vip["samples"], [each["contact"] for each in offer["samples"]]) == ([], ["242"])
    assert offer["samples"][0]["text"] == "Hello N242"
    assert "no contact 'x'" in (await _preflight(system, batch, "?contact=x", 404))["detail"]


async def test_a_webhook_shows_its_url_and_body(system: System) -> None:
    await system.publish(
        """
journey: 1
name: Tell
steps:
  - id: tell
    webhook: {url: "{{ hook }}", body: {who: "{{ id }}"}}
"""
    )
    batch = await hold(system, row(1, hook="https://example.com/a") + row(2) + row(3, hook="ftp://example.com"))
    (tell,) = (await _preflight(system, batch))["messages"]
    assert (tell["noRecipient"], tell["missing"]) == (2, {"hook": 1})
    assert tell["samples"] == [
        {"contact": "c1", "to": "https://example.com/a", "subject": None, "text": '{"who": "c1"}', "html": None}
    ]


async def test_of_many_contacts_messages_are_looked_at_in_every_cohort_and_branches_are_exact(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKED_AT", 30)
    await system.publish(SPRING)
    batch = await hold(system, contacts(500))  # five cohorts
    found = await _preflight(system, batch)
    assert [each["contacts"] for each in found["branches"]] == [250, 250]
    assert [each["looked"] for each in found["messages"]] == [30, 30]


async def test_a_sender_that_is_no_address_is_told_apart_from_a_missing_recipient(system: System) -> None:
    await system.publish(SPRING.replace("Shop <shop@example.com>", '"{{ shop }}"'))
    batch = await hold(system, contacts(4))
    for each in (await _preflight(system, batch))["messages"]:
        assert each["noRecipient"] == 0
        assert each["samples"] == []
        assert Counter(each["failed"]).total() == 2
        assert each["missing"]["shop"] == 2


async def test_only_a_held_batch_has_a_preflight(system: System) -> None:
    await system.publish(EXIT)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1, "options": {"hold": True}})).json()
    assert "once its file is read" in (await _preflight(system, opened["batchId"], status=409))["detail"]
    batch = await hold(system, contacts(2))
    await system.post(f"batches/{batch}/resume", {})
    await system.ended(batch)
    assert "is completed" in (await _preflight(system, batch, status=409))["detail"]
    await system.post(f"batches/{batch}/forget", {})
    await _preflight(system, batch, status=410)
    await _preflight(system, "b_none", status=404)


async def test_of_a_batch_that_failed_it_says_why(system: System) -> None:
    await system.publish(SPRING)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1, "options": {"hold": True}})).json()
    await system.http.put(opened["uploadUrl"], content=b"nonsense\n", headers={"Content-Type": "text/plain"})
    await system.ended(opened["batchId"])
    assert "failed: The only row can't be used" in (await _preflight(system, opened["batchId"], status=409))["detail"]


async def test_what_the_hours_of_a_step_would_mean_is_foretold_for_now(system: System) -> None:
    hour = (system.clock.now().hour + 2) % 24
    window = f'{{from: "{hour:02}:00", to: "{(hour + 1) % 24:02}:00", timezone: "{{{{ tz }}}}", otherwise: skip}}'
    await system.publish(MAIL + f"    send_window: {window}\n")
    rows = [row(n, emailAddress="c@example.com", firstname="N", tz=("UTC", "", "Mars")[n % 3]) for n in range(9)]
    found = await _preflight(system, await hold(system, b"".join(rows)))
    assert found["messages"][0]["hours"] == {"closed": 9, "noZone": 6, "otherwise": "skip"}
    await system.publish(MAIL + '    send_window: {from: "00:00", to: "24:00", timezone: "{{ tz }}"}\n')
    found = await _preflight(system, await hold(system, b"".join(rows)))
    assert found["messages"][0]["hours"] == {"closed": 0, "noZone": 6, "otherwise": "wait"}
