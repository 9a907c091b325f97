"""Properties that a journey gives its contacts: what follows sees them, also before anyone moves."""

import json

from tests.integration.conftest import System

SET = """
journey: 1
name: Points
steps:
  - id: count
    set: {score: "{{ score | divided_by: by }}", tier: gold}
    next: enough
  - id: enough
    split:
      - {if: score >= 2 and tier = 'gold', to: mail}
      - else: rest
  - id: mail
    email: {from: a@example.com, to: "{{ id }}@example.com", subject: "{{ score }} {{ tier }}", text: Hello}
    next: rest
  - id: rest
    wait: 1000 days
"""


def rows(*properties: dict[str, object]) -> bytes:
    return "".join(json.dumps({"id": f"c{n}", "properties": each}) + "\n" for n, each in enumerate(properties)).encode()


def outcomes(found: dict, step: str) -> dict:  # type: ignore[type-arg]
    return dict(next(each["outcomes"] for each in found["ledger"]["steps"] if each["step"] == step))


async def test_later_steps_see_what_was_set_and_who_could_not_be_changed_goes_on(system: System) -> None:
    await system.publish(SET)
    batch = await system.start(rows({"score": 8, "by": 4}, {"score": 8, "by": 8}, {"score": 8, "by": 0}))
    found = await system.until(batch, lambda b: b["ledger"]["steps"][-1]["standing"] == 3)
    assert outcomes(found, "count") == {"passed": 2, "failed": 1}
    assert outcomes(found, "mail") == {"sent": 1}
    (mail,) = system.sandbox.mails
    assert mail.recipients == ["c0@example.com"]
    assert "Subject: 2 gold" in mail.content.decode()
    journal = await system.lines(f"batches/{batch}/journal?step=count")
    assert [(each["contact"], each["outcome"]) for each in journal] == [
        ("c0", "passed"),
        ("c1", "passed"),
        ("c2", "failed"),
    ]
    assert "divided" in journal[2]["detail"] or "filled" in journal[2]["detail"]
    why = (await system.get("contacts/c0")).json()["entries"][0]
    assert why["stays"][1]["why"]["conditions"][0]["true"] is True


async def test_a_review_counts_with_what_is_set(system: System) -> None:
    await system.publish(SET)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1, "options": {"hold": True}})).json()
    content = rows({"score": 8, "by": 4}, {"score": 8, "by": 8}, {"score": 8, "by": 0})
    await system.http.put(opened["uploadUrl"], content=content, headers={"Content-Type": "text/plain"})
    batch = opened["batchId"]
    await system.until(batch, lambda found: found["state"] == "paused")
    seen = (await system.get(f"batches/{batch}/preflight")).json()
    assert {each["to"]: each["contacts"] for each in seen["branches"]} == {"mail": 1, "rest": 2}
    (sample,) = seen["messages"][0]["samples"]
    assert (sample["contact"], sample["subject"]) == ("c0", "2 gold")


async def test_a_review_leaves_out_whom_a_wait_sends_out_of_the_journey(system: System) -> None:
    await system.publish(
        """
journey: 1
steps:
  - id: until
    wait: {until: "{{ d }}", if_past: exit, invalid: exit}
    next: fork
  - id: fork
    split: [{if: id is not null, to: rest}]
  - id: rest
    wait: 1 day
"""
    )
    opened = (await system.post("batchtrigger/v2", {"entityId": 1, "options": {"hold": True}})).json()
    content = rows({"d": "2001-01-01"}, {"d": "?"}, {"d": "2030-01-01"})
    await system.http.put(opened["uploadUrl"], content=content, headers={"Content-Type": "text/plain"})
    await system.until(opened["batchId"], lambda found: found["state"] == "paused")
    seen = (await system.get(f"batches/{opened['batchId']}/preflight")).json()
    assert {each["to"]: each["contacts"] for each in seen["branches"]} == {"rest": 1, None: 0}
