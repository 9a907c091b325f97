"""Work that can't go on: it waits and says why, and poison stops."""

import asyncio

import pytest

from caravan.delivery import deliver
from caravan.errors import Unavailable
from caravan.queue.retries import RetryPolicy
from caravan.steps.exit import Exit
from caravan.steps.split import Split
from caravan.store import ledger
from caravan.store.files import LocalFiles
from tests.integration.conftest import System
from tests.integration.journeys_for_tests import EXIT, MAIL, SPRING, contacts

SPLIT = """
journey: 1
name: Some out, some later
steps:
  - id: which
    split:
      - if: attributeName = 'yes'
        to: out
      - else: later
  - id: out
    exit: {}
  - id: later
    wait: 30 days
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once: what is tested is what comes of the tries."""
    from procrastinate import RetryDecision
    from procrastinate.utils import utcnow

    original = RetryPolicy.get_retry_decision

    def soon(self: RetryPolicy, **arguments: object) -> RetryDecision | None:
        decision = original(self, **arguments)  # type: ignore[arg-type]
        return decision and RetryDecision(retry_at=utcnow())

    monkeypatch.setattr(RetryPolicy, "get_retry_decision", soon)


async def test_poison_stops_after_some_tries_says_why_and_can_be_retried(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0
    take = Split.take

    async def poisoned(self: Split, cohort, tools):  # type: ignore[no-untyped-def]
        nonlocal tries
        tries += 1
        raise ValueError("this can't be")

    monkeypatch.setattr(Split, "take", poisoned)
    await system.publish(SPRING)
    batch = await system.start(contacts(10))
    found = await system.until(batch, lambda b: b["stuck"] > 0)
    assert "10 contacts at vip_or_not" in found["waitingFor"]
    assert "this can't be" in found["waitingFor"]
    assert tries == 5
    monkeypatch.setattr(Split, "take", take)
    assert (await system.post(f"batches/{batch}/retry", {})).status_code == 200
    await system.until(batch, lambda b: b["ledger"]["steps"][3]["standing"] == 10)


async def test_stuck_contacts_are_shown_also_while_others_wait_for_their_time(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def poisoned(self: Exit, cohort, tools):  # type: ignore[no-untyped-def]
        raise ValueError("this can't be")

    monkeypatch.setattr(Exit, "take", poisoned)
    await system.publish(SPLIT)
    batch = await system.start(contacts(10))
    found = await system.until(batch, lambda b: b["stuck"] > 0)
    assert "5 contacts at later are waiting until " in found["waitingFor"]
    assert found["waitingFor"].startswith("5 contacts at out are stuck since ")
    assert "\ncaravan_contacts_stuck 5.0\n" in (await system.http.get("/metrics")).text


async def test_a_move_that_cannot_be_committed_stops_after_some_tries_too(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_left = ledger.add_left

    async def poisoned(*_: object) -> None:
        raise ValueError("this can't be counted")

    await system.publish(EXIT)
    monkeypatch.setattr(ledger, "add_left", poisoned)
    batch = await system.start(contacts(10))
    found = await system.until(batch, lambda b: b["stuck"] > 0)
    assert "this can't be counted" in found["waitingFor"]
    monkeypatch.setattr(ledger, "add_left", add_left)
    assert (await system.post(f"batches/{batch}/retry", {})).status_code == 200
    assert (await system.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"passed": 10}


async def test_a_cancel_recalls_also_contacts_that_a_failing_step_keeps_from_moving(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were in hand when the cancel came, and that try is the one after which they would be stuck."""
    tries, last, go_on = 0, asyncio.Event(), asyncio.Event()

    async def poisoned(self: Split, cohort, tools):  # type: ignore[no-untyped-def]
        nonlocal tries
        tries += 1
        if tries == 5:
            last.set()
            await go_on.wait()
        raise ValueError("this can't be")

    monkeypatch.setattr(Split, "take", poisoned)
    await system.publish(SPRING)
    batch = await system.start(contacts(10))
    await last.wait()
    assert (await system.post(f"batches/{batch}/cancel", {})).status_code == 200
    go_on.set()
    found = await system.until(batch, lambda b: b["ledger"]["steps"][0]["standing"] == 0)
    assert found["ledger"]["steps"][0]["outcomes"] == {"cancelled": 10}
    assert tries == 5


async def test_stuck_contacts_of_a_cancelled_batch_can_be_retried(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of them has been sent to; as long as it is not known which, none is called cancelled."""
    reached = asyncio.Event()
    read = deliver._read

    def script(*_: object) -> None:
        if len(system.sandbox.mails) >= 25:
            reached.set()

    def poisoned(*_: object) -> None:
        raise ValueError("this can't be read")

    monkeypatch.setattr(system.sandbox, "_script", script)
    await system.publish(MAIL)
    batch = await system.start(contacts(100))
    await reached.wait()
    assert (await system.post(f"batches/{batch}/pause", {})).status_code == 200
    async with system.engine.pool.connection() as connection:
        for _ in range(100):
            found = await (await connection.execute("select from cohorts where holder is not null")).fetchall()
            if not found:
                break
            await asyncio.sleep(0.05)
    monkeypatch.setattr(deliver, "_read", poisoned)
    assert (await system.post(f"batches/{batch}/cancel", {})).status_code == 200
    found = await system.until(batch, lambda b: b["stuck"] > 0)
    assert (found["state"], found["ledger"]["steps"][0]["standing"]) == ("cancelled", 100)
    refused = await system.post(f"batches/{batch}/forget", {})
    assert (refused.status_code, "retry" in refused.json()["error"]) == (409, True)
    monkeypatch.setattr(deliver, "_read", read)
    assert (await system.post(f"batches/{batch}/retry", {})).status_code == 200
    found = await system.until(batch, lambda b: b["ledger"]["steps"][0]["standing"] == 0)
    sent = len(system.sandbox.mails)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": sent, "cancelled": 100 - sent}


async def test_a_store_that_is_away_is_waited_for_however_often_it_fails(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, put = 0, LocalFiles.put

    def away(self: LocalFiles, local, name):  # type: ignore[no-untyped-def]
        nonlocal tries
        if "cohort" in name and tries < 12:
            tries += 1
            raise OSError(28, "No space left on device")
        put(self, local, name)

    monkeypatch.setattr(LocalFiles, "put", away)
    await system.publish(EXIT)
    batch = await system.start(contacts(10))
    found = await system.until(batch, lambda b: b["waitingFor"] is not None and "space" in b["waitingFor"])
    assert found["state"] == "reading"
    found = await system.ended(batch)
    assert found["state"] == "completed"
    assert tries == 12


async def test_a_file_on_which_reading_itself_fails_again_and_again_fails_the_batch(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    from caravan.engine import reading

    def broken(*_: object, **__: object) -> None:
        raise ValueError("a bug in reading")

    monkeypatch.setattr(reading, "read_contacts", broken)
    await system.publish(EXIT)
    found = await system.ended(await system.start(contacts(10)))
    assert (found["state"], found["errorCode"]) == ("failed", "unreadable")
    assert "a bug in reading" in found["error"]


def test_trouble_around_is_told_from_failing_work() -> None:
    import psycopg

    from caravan.queue.transient import is_transient

    for error in (OSError(28, "full"), psycopg.OperationalError("gone"), ConnectionResetError(), Unavailable()):
        assert is_transient(error)
    for other in (ValueError(), FileNotFoundError("cohort"), KeyError("x"), psycopg.errors.UndefinedColumn()):
        assert not is_transient(other)
