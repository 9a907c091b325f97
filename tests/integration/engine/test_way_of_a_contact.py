"""Contacts on their way: splits, waits, mails, retries, and the journal of it all."""

from collections import Counter

import pytest

from caravan.channels.replies import Stage
from caravan.channels.sandbox import Received
from tests.integration.conftest import System
from tests.integration.journeys_for_tests import EXIT, MAIL, SPRING, WAIT, contacts


def recipients(system: System) -> Counter[str]:
    return Counter(address for mail in system.sandbox.mails for address in mail.recipients)


async def test_everyone_is_split_mailed_and_waits_until_the_time_has_come(system: System) -> None:
    await system.publish(SPRING)
    batch = await system.start(contacts(250))
    found = await system.until(batch, lambda b: b["ledger"]["steps"][3]["standing"] == 250)
    assert "days" in found["waitingFor"]
    assert recipients(system) == Counter({f"c{n}@example.com": 1 for n in range(250)})
    await system.turn(days=2, hours=23)
    assert (await system.batch(batch))["ledger"]["steps"][3]["standing"] == 250
    await system.turn(hours=1, seconds=5)
    found = await system.ended(batch)
    assert found["state"] == "completed"
    assert found["waitingFor"] is None
    steps = {step["step"]: step for step in found["ledger"]["steps"]}
    assert [step["step"] for step in found["ledger"]["steps"]] == ["vip_or_not", "vip_offer", "offer", "days", "out"]
    assert steps["vip_or_not"]["outcomes"] == {"passed": 250}
    assert steps["vip_offer"]["outcomes"] == {"sent": 125}
    assert steps["offer"]["outcomes"] == {"sent": 125}
    assert steps["out"]["arrived"] == 250


async def test_the_journal_tells_each_contact_at_each_step_once_and_can_be_narrowed(system: System) -> None:
    await system.publish(SPRING)
    batch = await system.start(contacts(30))
    await system.until(batch, lambda b: b["ledger"]["steps"][3]["standing"] == 30)
    await system.turn(days=4)
    await system.ended(batch)
    lines = await system.lines(f"batches/{batch}/journal")
    assert Counter((line["contact"], line["step"]) for line in lines).most_common(1)[0][1] == 1
    one = await system.lines(f"batches/{batch}/journal?contact=7")
    assert [(line["step"], line["outcome"], line["line"]) for line in one] == [
        ("vip_or_not", "passed", 8),
        ("vip_offer", "sent", 8),
        ("days", "passed", 8),
        ("out", "passed", 8),
    ]
    assert one[0]["detail"] == "vip_offer"
    sent = await system.lines(f"batches/{batch}/journal?outcome=sent&step=offer")
    assert sorted(int(line["contact"]) for line in sent) == list(range(0, 30, 2))


async def test_rejects_are_listed_with_line_offset_and_row(system: System) -> None:
    await system.publish(EXIT)
    content = contacts(2) + b"nonsense\n\n" + contacts(1) + b'{"properties": {}}\n'
    batch = await system.start(content)
    found = await system.ended(batch)
    assert found["ledger"]["rejected"] == {"not_json": 1, "duplicate": 1, "missing_id": 1}
    assert (found["ledger"]["lines"], found["ledger"]["blank"], found["ledger"]["entered"]) == (6, 1, 2)
    rejects = await system.lines(f"batches/{batch}/rejects")
    assert [(each["line"], each["code"]) for each in rejects] == [(3, "not_json"), (5, "duplicate"), (6, "missing_id")]
    assert rejects[0]["offset"] == content.index(b"nonsense")
    assert rejects[0]["row"] == "nonsense"
    assert "line 1" in rejects[1]["message"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b'[{"id": "1"}, {"id": "2"}]', "json_array"),
        (b"nonsense\nmore\n", "too_many_rejects"),
        ('{"id": "1"}\n'.encode("utf-16"), "unreadable"),
        (b"\x1f\x8b\x08broken", "unreadable"),
    ],
)
async def test_a_file_that_cannot_be_used_fails_its_batch_with_its_own_sentence(
    system: System, content: bytes, code: str
) -> None:
    await system.publish(EXIT)
    found = await system.ended(await system.start(content))
    assert (found["state"], found["errorCode"]) == ("failed", code)
    assert found["error"].startswith(f"{code}: ")
    assert found["ledger"]["entered"] == 0


async def test_a_temporary_failure_is_tried_again_until_it_goes(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: Counter[str] = Counter()

    def script(stage: Stage, mail: Received) -> str | None:
        if stage is not Stage.RCPT:
            return None
        tries[mail.recipients[0]] += 1
        stubborn = mail.recipients[0] in ("c3@example.com", "c17@example.com")
        return "451 4.7.1 later, please" if stubborn and tries[mail.recipients[0]] < 3 else None

    monkeypatch.setattr(system.sandbox, "_script", script)
    await system.publish(MAIL)
    batch = await system.start(contacts(25))
    found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 25}
    assert tries["c3@example.com"] == 3
    assert tries["c4@example.com"] == 1
    assert recipients(system) == Counter({f"c{n}@example.com": 1 for n in range(25)})
    journal = await system.lines(f"batches/{batch}/journal")
    assert Counter(line["contact"] for line in journal).most_common(1)[0][1] == 1


async def test_a_permanent_failure_is_journaled_and_the_contact_goes_on(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(stage: Stage, mail: Received) -> str | None:
        gone = stage is Stage.RCPT and mail.recipients[0] == "c5@example.com"
        return "550 5.1.1 no such user" if gone else None

    monkeypatch.setattr(system.sandbox, "_script", script)
    await system.publish(SPRING)
    batch = await system.start(contacts(10))
    found = await system.until(batch, lambda b: b["ledger"]["steps"][3]["standing"] == 10)
    assert found["ledger"]["steps"][1]["outcomes"] == {"sent": 4, "failed": 1}
    failed = await system.lines(f"batches/{batch}/journal?outcome=failed")
    assert [(line["contact"], "no such user" in line["detail"]) for line in failed] == [("5", True)]


async def test_contacts_without_a_usable_address_fail_alone(system: System) -> None:
    await system.publish(MAIL)
    content = contacts(3) + b'{"id": "x", "properties": {"emailAddress": "a@b.example, c@d.example"}}\n{"id": "y"}\n'
    found = await system.ended(await system.start(content))
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 3, "failed": 2}


async def test_a_relay_that_is_away_makes_everyone_wait_and_says_so(idle_system: System) -> None:
    from caravan.channels.sandbox import Sandbox
    from tests.integration.conftest import working

    system = idle_system
    port = int(system.sandbox.url.rpartition(":")[2])
    await system.sandbox.__aexit__(None, None, None)
    async with working(system):
        await system.publish(MAIL)
        batch = await system.start(contacts(30))
        found = await system.until(batch, lambda b: b["waitingFor"] is not None)
        assert "30 contacts at mail" in found["waitingFor"]
        assert found["ledger"]["steps"][0]["standing"] == 30
        async with Sandbox(port=port) as back:
            await system.turn(minutes=10)
            found = await system.ended(batch)
            assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 30}
            assert back.count == 30


async def test_a_running_batch_keeps_the_version_that_it_started_with(system: System) -> None:
    await system.publish(WAIT)
    batch = await system.start(contacts(5))
    await system.until(batch, lambda b: b["state"] == "running")
    await system.publish(EXIT)
    assert (await system.batch(batch))["version"] == 1
    await system.turn(days=4)
    found = await system.ended(batch)
    assert [step["step"] for step in found["ledger"]["steps"]] == ["days", "out"]
    second = await system.start(contacts(1))
    assert (await system.ended(second))["version"] == 2


async def test_the_version_is_the_one_that_is_newest_when_the_file_comes(system: System) -> None:
    await system.publish(WAIT)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
    await system.publish(EXIT)
    await system.http.put(opened["uploadUrl"], content=contacts(1), headers={"Content-Type": "text/plain"})
    assert (await system.ended(opened["batchId"]))["version"] == 2


async def test_publishing_the_same_definition_again_makes_no_new_version(system: System) -> None:
    for _ in range(3):
        await system.publish(EXIT)
    assert [(each["journey"], each["version"]) for each in (await system.get("journeys")).json()] == [(1, 1)]


async def test_a_definition_that_is_wrong_is_refused_with_all_its_problems(system: System) -> None:
    wrong = EXIT.replace("exit: {}", "exit: {}\n    next: nowhere\n  - id: lost\n    exit: {}")
    answer = await system.http.put(system.path("journeys/1"), content=wrong)
    assert answer.status_code == 422
    assert all(each["line"] > 0 for each in answer.json()["problems"])
    assert len(answer.json()["problems"]) >= 2
    other = await system.http.put(system.path("journeys/2"), content=EXIT)
    assert other.status_code == 400


async def test_a_published_definition_can_be_read_back_and_published_again(system: System) -> None:
    await system.publish(SPRING)
    answer = await system.get("journeys/1")
    assert answer.headers["caravan-version"] == "1"
    again = await system.http.put(system.path("journeys/1"), json=answer.json())
    assert again.json()["version"] == 1


async def test_events_are_pushed_until_the_batch_has_ended(system: System) -> None:
    import json

    await system.publish(MAIL)
    batch = await system.start(contacts(120))
    states = []
    async with system.http.stream("GET", system.path(f"batches/{batch}/events")) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                found = json.loads(line[6:])
                states.append(found["state"])
                assert "rate" in found
    assert states[-1] == "completed"


async def test_batches_are_listed_newest_first_page_by_page(system: System) -> None:
    await system.publish(EXIT)
    started = [await system.start(contacts(1)) for _ in range(5)]
    first = await system.get("batches?limit=3")
    assert [each["id"] for each in first.json()] == started[::-1][:3]
    following = first.headers["link"].partition("<")[2].partition(">")[0]
    assert [each["id"] for each in (await system.http.get(following)).json()] == started[::-1][3:]
