"""What has expired is not sent any more, however late a worker comes to it."""

from datetime import timedelta

import pytest

from caravan.channels.replies import Stage
from caravan.channels.sandbox import Received
from tests.integration.conftest import NDJSON, System, working
from tests.integration.journeys_for_tests import MAIL, contacts

TWO = (
    MAIL
    + "    next: days\n  - id: days\n    wait: 3 days\n    next: more\n"
    + MAIL.partition("steps:\n")[2].replace("id: mail", "id: more")
)


async def start(system: System, count: int = 10, **options: object) -> str:
    answer = await system.post("batchtrigger/v2", {"entityId": 1, "options": options})
    assert answer.status_code == 200, answer.text
    put = await system.http.put(answer.json()["uploadUrl"], content=contacts(count), headers=NDJSON)
    assert put.status_code == 200
    return str(answer.json()["batchId"])


async def test_a_batch_that_has_expired_sends_nothing_more_and_its_contacts_go_on(system: System) -> None:
    await system.publish(TWO)
    batch = await start(system, 25, expires="2 days")
    found = await system.until(batch, lambda found: found["ledger"]["steps"][1]["standing"] == 25)
    assert found["sendsUntil"]
    await system.turn(days=3)
    found = await system.ended(batch)
    assert [each["outcomes"] for each in found["ledger"]["steps"]] == [{"sent": 25}, {"passed": 25}, {"expired": 25}]
    lines = await system.lines(f"batches/{batch}/journal?outcome=expired")
    until = found["sendsUntil"][:19].replace("T", " ")
    assert {each["detail"] for each in lines} == {f"not sent after {until} UTC"}
    assert len(system.sandbox.mails) == 25


async def test_an_offer_of_last_month_is_not_sent_by_what_comes_back_from_a_backup(idle_system: System) -> None:
    """The database stands as it was in the middle of the batch; a month later workers start on it."""
    await idle_system.publish(MAIL)
    until = (idle_system.clock.now() + timedelta(days=1)).isoformat()
    batch = await start(idle_system, 250, expires=until)
    await idle_system.turn(days=30)
    async with working(idle_system):
        found = await idle_system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"expired": 250}
    assert not idle_system.sandbox.mails


async def test_what_expires_within_a_window_holds_back_the_rest_of_it(idle_system: System) -> None:
    system, sandbox = idle_system, idle_system.sandbox

    def script(stage: Stage, mail: Received) -> None:
        if stage is Stage.MAIL and len(sandbox.mails) == 4 and not system.clock.ahead:
            system.clock.turn(timedelta(days=2))

    sandbox._script = script
    system.engine.settings.__dict__["smtp_connections"] = 1
    await system.publish(MAIL)
    batch = await start(system, 30, expires="1 day")
    async with working(system):
        found = await system.ended(batch)
    outcomes = found["ledger"]["steps"][0]["outcomes"]
    assert outcomes["sent"] == len(sandbox.mails)
    assert outcomes["sent"] < 10, "also within the first window"
    assert outcomes == {"sent": outcomes["sent"], "expired": 30 - outcomes["sent"]}


@pytest.mark.parametrize("expires", ["2 days", "moment"])
async def test_a_step_has_its_own_expiry_and_the_earlier_one_holds(system: System, expires: str) -> None:
    if expires == "moment":
        expires = (system.clock.now() + timedelta(days=2)).isoformat()
    await system.publish(TWO + f'    expires: "{expires}"\n')
    batch = await start(system, expires="10 days")
    await system.until(batch, lambda found: found["ledger"]["steps"][1]["standing"] == 10)
    await system.turn(days=3)
    assert (await system.ended(batch))["ledger"]["steps"][2]["outcomes"] == {"expired": 10}


async def test_a_duration_counts_from_when_a_single_entered_and_not_from_its_batch(system: System) -> None:
    await system.publish(TWO.replace("    next: days\n", "    next: days\n    expires: 2 hours\n", 1))
    batches = set[str]()
    for number in (1, 2, 3):
        body = {"id": str(number), "properties": {"emailAddress": f"c{number}@example.com"}}
        batches.add((await system.post("journeys/1/commence", body)).json()["batchId"])
        (batch,) = batches
        await system.until(batch, lambda found, n=number: found["ledger"]["steps"][0]["outcomes"] == {"sent": n})
        await system.turn(hours=5)


async def test_what_is_retried_beyond_its_expiry_has_expired(idle_system: System) -> None:
    system = idle_system
    system.sandbox._script = lambda stage, mail: "451 4.7.1 later" if stage is Stage.RCPT else None
    await system.publish(MAIL)
    batch = await start(system, expires="1 minute")
    async with working(system):
        await system.until(batch, lambda found: (found["waiting"] or {}).get("kind") == "retry")
        await system.turn(minutes=2)
        found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"expired": 10}


@pytest.mark.parametrize(
    ("expires", "said"),
    [
        ("soon", "expires: 'soon' is no time; write a moment like 2026-12-01T00:00:00Z or a duration like 2 days."),
        ("2026-12-01", "expires: '2026-12-01' does not say which clock; write a moment like 2026-12-01T00:00:00Z."),
        ("2001-01-01T00:00:00Z", "expires: 2001-01-01 00:00:00 UTC is over, so nothing would be sent."),
        ("0 days", "expires: a duration of nothing would let nothing be sent"),
        ("9999-12-31T23:59:59-12:00", "expires: '9999-12-31T23:59:59-12:00' is no time that"),
        ("x" * 100_000, "is no time"),
        (5, "options.expires"),
    ],
)
async def test_what_is_no_expiry_is_refused_with_a_sentence(idle_system: System, expires: object, said: str) -> None:
    await idle_system.publish(MAIL)
    answer = await idle_system.post("batchtrigger/v2", {"entityId": 1, "options": {"expires": expires}})
    assert answer.status_code in (400, 422), answer.text
    assert said in answer.json()["detail"]
    assert len(answer.json()["detail"]) < 500


async def test_a_restart_expires_as_its_batch_does_unless_it_says_otherwise(system: System) -> None:
    system.sandbox._script = lambda stage, mail: "550 5.1.1 no" if stage is Stage.RCPT else None
    await system.publish(MAIL)
    batch = await start(system, expires="1 day")
    until = (await system.ended(batch))["sendsUntil"]
    again = await system.post(f"batches/{batch}/restart", {"outcome": "failed"})
    assert again.json()["sendsUntil"] == until
    await system.turn(days=2)
    refused = await system.post(f"batches/{batch}/restart", {"outcome": "failed"})
    assert refused.status_code == 409
    assert "has expired: nothing of it is sent after" in refused.json()["detail"]
    later = await system.post(f"batches/{batch}/restart", {"outcome": "failed", "options": {"expires": "1 day"}})
    assert later.status_code == 200, later.text
