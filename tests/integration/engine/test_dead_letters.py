"""Dead letters: who failed at a webhook can be sent to once more, and the ledger balances all the time."""

from collections import Counter

from tests.integration.conftest import System
from tests.integration.engine.test_webhooks import Sink, _journey, sink
from tests.integration.journeys_for_tests import contacts

__all__ = ["sink"]
_ON = "    next: out\n  - id: out\n    exit: {}\n"


async def _failed(system: System, sink: Sink, numbers: range = range(10)) -> str:
    """A batch that has ended, at whose webhook these failed."""
    sink.statuses = {str(number): [400] for number in numbers}
    await system.publish(_journey(sink.url) + _ON)
    batch = await system.start(contacts(25))
    found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 25 - len(numbers), "failed": len(numbers)}
    return batch


async def test_all_are_sent_once_more_with_the_same_keys_after_the_batch_ended(system: System, sink: Sink) -> None:
    batch = await _failed(system, sink)
    letters = await system.lines(f"batches/{batch}/dead-letters?step=tell")
    assert {each["contact"] for each in letters} == {str(number) for number in range(10)}
    assert {each["detail"] for each in letters} == {"400"}
    answer = await system.post(f"batches/{batch}/dead-letters/replay", {"step": "tell", "count": 10})
    assert answer.json()["state"] == "running"
    found = await system.ended(batch)
    tell, out = found["ledger"]["steps"]
    assert (tell["arrived"], tell["outcomes"]) == (25, {"sent": 25})
    assert (out["arrived"], out["outcomes"]) == (25, {"passed": 25}), "nobody went on twice"
    assert Counter(Counter(sink.keys).values()) == {1: 15, 2: 10}
    assert await system.lines(f"batches/{batch}/dead-letters") == []


async def test_one_is_sent_once_more_and_the_others_stay(system: System, sink: Sink) -> None:
    batch = await _failed(system, sink)
    answer = await system.post(f"batches/{batch}/dead-letters/replay", {"step": "tell", "contact": "4"})
    assert answer.status_code == 200
    found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 16, "failed": 9}
    left = await system.lines(f"batches/{batch}/dead-letters?step=tell")
    assert {each["contact"] for each in left} == {str(number) for number in range(10) if number != 4}
    answer = await system.post(f"batches/{batch}/dead-letters/replay", {"step": "tell", "contact": "4"})
    assert answer.status_code == 404
    await system.post(f"batches/{batch}/dead-letters/replay", {"step": "tell", "count": 9})
    assert (await system.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"sent": 25}


async def test_a_count_that_is_not_true_any_more_sends_nothing(system: System, sink: Sink) -> None:
    batch = await _failed(system, sink)
    for body, status in [
        ({"step": "tell", "count": 9}, 409), ({"step": "out", "count": 1}, 409), ({"step": "tell"}, 400),
        ({"step": "tell", "count": 10, "contact": "4"}, 400), ({"step": "tell", "count": 0}, 400), ({"count": 10}, 400),
    ]:  # fmt: skip
        answer = await system.post(f"batches/{batch}/dead-letters/replay", body)
        assert answer.status_code == status, body
    assert len(sink.keys) == 25


async def test_who_fails_again_is_a_dead_letter_again(system: System, sink: Sink) -> None:
    batch = await _failed(system, sink, range(3))
    sink.statuses = {"0": [503, 400], "1": [410]}
    await system.post(f"batches/{batch}/dead-letters/replay", {"step": "tell", "count": 3})
    found = await system.ended(batch)
    failed = found["ledger"]["steps"][0]["outcomes"]["failed"]
    assert len(await system.lines(f"batches/{batch}/dead-letters")) == failed >= 1
    sink.statuses = {}
    await system.post(f"batches/{batch}/dead-letters/replay", {"step": "tell", "count": failed})
    found = await system.ended(batch)
    assert [step["outcomes"] for step in found["ledger"]["steps"]] == [{"sent": 25}, {"passed": 25}]


async def test_a_cancel_stops_a_replay_and_nobody_goes_on(system: System, sink: Sink) -> None:
    batch = await _failed(system, sink, range(3))
    sink.statuses = {str(number): [503] * 1000 for number in range(3)}
    await system.post(f"batches/{batch}/dead-letters/replay", {"step": "tell", "count": 3})
    await system.until(batch, lambda b: len(sink.keys) >= 30)
    await system.post(f"batches/{batch}/cancel", {})
    found = await system.until(batch, lambda b: b["ledger"]["steps"][0]["standing"] == 0)
    tell, out = found["ledger"]["steps"]
    assert (tell["outcomes"], out["arrived"]) == ({"sent": 22, "cancelled": 3}, 25)
    answer = await system.post(f"batches/{batch}/dead-letters/replay", {"step": "tell", "count": 1})
    assert answer.status_code == 409


async def test_who_is_given_up_by_command_is_a_dead_letter(system: System, sink: Sink) -> None:
    sink.statuses = {"2": [503] * 1000}
    sink.retry_after = {"2": "500"}
    await system.publish(_journey(sink.url) + _ON)
    batch = await system.start(contacts(5))
    await system.until(batch, lambda b: b["ledger"]["steps"][0]["outcomes"].get("sent") == 4)
    await system.post(f"batches/{batch}/give-up", {})
    await system.ended(batch)
    (letter,) = await system.lines(f"batches/{batch}/dead-letters")
    assert letter["contact"] == "2" and letter["detail"].startswith("given up by command: 503")
    sink.statuses = {}
    await system.post(f"batches/{batch}/dead-letters/replay", {"step": "tell", "count": 1})
    assert (await system.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"sent": 5}


async def test_with_the_contacts_of_a_batch_its_dead_letters_are_forgotten(system: System, sink: Sink) -> None:
    batch = await _failed(system, sink, range(2))
    assert (await system.post(f"batches/{batch}/forget", {})).status_code == 200
    assert (await system.get(f"batches/{batch}/dead-letters")).status_code == 410
    answer = await system.post(f"batches/{batch}/dead-letters/replay", {"step": "tell", "count": 2})
    assert answer.status_code == 410
