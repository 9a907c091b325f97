"""The engine on what many machines share: a store that speaks S3, and no disk."""

import asyncio
import gzip
import hashlib
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from caravan.bootstrap import open_engine
from caravan.delivery.trace import Mark, Trace
from caravan.engine import direct, reading
from caravan.errors import InvalidSetting
from caravan.queries.journal import Filter, open_journal, read_journal
from caravan.settings import Settings, Uploads
from caravan.store import cohorts
from caravan.store.database import row
from caravan.store.windows import Windows
from tests.integration.conftest import NDJSON, System, working
from tests.integration.journeys_for_tests import EXIT, MAIL, SPRING, contacts
from tests.s3 import S3


@pytest.fixture
def place(s3: S3) -> str:
    return s3.bucket()


@pytest.fixture
def settings(settings: Settings, s3: S3, place: str) -> Settings:
    """The same, with its files in a bucket."""
    return settings.model_copy(
        update={"files_url": f"s3://{place}/here", "files_endpoint_url": s3.endpoint, "uploads": Uploads.DIRECT}
    )


@pytest.fixture
def through_the_api(settings: Settings) -> None:
    """Uploads go through the API, as by default."""
    settings.__dict__["uploads"] = Uploads.API


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass between two requests for the same."""
    from botocore.retries.standard import ExponentialBackoff

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0.0)


def left_on_disk(system: System) -> list[Path]:
    """Files on this machine, but for those that say who is at work and which folder is in use."""
    found = [path for path in system.engine.settings.folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return [path for path in found if "present" not in path.parts]


@pytest.mark.usefixtures("through_the_api")
class TestFilesInABucket:
    async def test_a_batch_goes_all_the_way_and_leaves_nothing_on_this_machine(self, system: System) -> None:
        await system.publish(SPRING)
        batch = await system.start(contacts(250) + b"not json\n" + contacts(1))
        await system.until(batch, lambda b: b["ledger"]["steps"][3]["standing"] == 250)
        await system.turn(days=3)
        found = await system.ended(batch)
        assert found["ledger"]["rejected"] == {"not_json": 1, "duplicate": 1}
        assert sum(found["ledger"]["steps"][4]["outcomes"].values()) == 250
        assert len({mail.recipients[0] for mail in system.sandbox.mails}) == 250 == len(system.sandbox.mails)
        assert [each["line"] for each in await system.lines(f"batches/{batch}/rejects")] == [251, 252]
        assert len(await system.lines(f"batches/{batch}/journal?outcome=sent")) == 250
        assert len(await system.lines(f"batches/{batch}/journal")) == 4 * 250
        assert left_on_disk(system) == []

    async def test_a_reader_who_goes_away_leaves_nothing_on_this_machine(self, system: System) -> None:
        await system.publish(EXIT)
        batch = await system.start(contacts(250))
        await system.ended(batch)
        journal = await open_journal(system.engine, batch, Filter())
        lines = read_journal(system.engine.files, journal)
        assert len(await asyncio.to_thread(next, lines)) == 100
        assert len(left_on_disk(system)) == 1
        lines.close()  # type: ignore[attr-defined]
        assert left_on_disk(system) == []

    async def test_singles_gather_in_the_bucket(self, system: System) -> None:
        await system.publish(MAIL)
        body = {"id": "7", "properties": {"emailAddress": "c7@example.com", "firstname": "Zoë"}}
        entered = (await system.post("journeys/1/commence", body)).json()
        await system.ended(entered["batchId"])
        assert [mail.recipients for mail in system.sandbox.mails] == [["c7@example.com"]]
        assert left_on_disk(system) == []

    async def test_a_put_while_the_store_is_away_is_refused_for_now_and_can_be_repeated(
        self, system: System, s3: S3, impatient: None
    ) -> None:
        await system.publish(EXIT)
        opened = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
        with s3.in_mood(errors=1000):
            answer = await system.http.put(opened["uploadUrl"], content=contacts(3), headers=NDJSON)
        assert answer.status_code == 503
        assert "store of files" in answer.json()["detail"]
        assert (await system.batch(opened["batchId"]))["state"] == "awaiting_upload"
        answer = await system.http.put(opened["uploadUrl"], content=contacts(3), headers=NDJSON)
        assert answer.status_code == 200
        assert (await system.ended(opened["batchId"]))["state"] == "completed"

    async def test_a_repeated_put_asks_nothing_of_the_store(self, idle_system: System, s3: S3, place: str) -> None:
        system = idle_system
        await system.publish(EXIT)
        opened = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
        first = await system.http.put(opened["uploadUrl"], content=contacts(3), headers=NDJSON)
        assert first.status_code == 200
        with s3.in_mood() as mood:
            again = await system.http.put(opened["uploadUrl"], content=contacts(3), headers=NDJSON)
            other = await system.http.put(opened["uploadUrl"], content=contacts(4), headers=NDJSON)
        assert (again.status_code, again.json()) == (200, first.json())
        assert other.status_code == 409
        assert mood.asked == []
        assert len(s3.keys(place)) == 1
        assert left_on_disk(system) == []

    async def test_reading_waits_for_a_store_that_is_away_and_says_so(
        self, idle_system: System, s3: S3, impatient: None
    ) -> None:
        system = idle_system
        await system.publish(EXIT)
        batch = await system.start(contacts(3))
        with s3.in_mood(errors=1_000_000):
            async with working(system):
                found = await system.until(batch, lambda b: "store of files" in (b["waitingFor"] or ""))
                assert found["state"] == "reading"
                s3.mood.errors = 0
                found = await system.ended(batch)
        assert (found["state"], found["ledger"]["entered"]) == ("completed", 3)

    async def test_a_cohort_waits_for_a_store_that_is_away_and_says_so(
        self, idle_system: System, s3: S3, impatient: None
    ) -> None:
        system = idle_system
        await system.publish(MAIL)
        batch = await system.start(contacts(3))
        await reading.read(system.engine, batch, asyncio.Event())
        with s3.in_mood(errors=1_000_000):
            async with working(system):
                await system.until(batch, lambda b: "store of files" in (b["waitingFor"] or ""))
                s3.mood.errors = 0
                found = await system.ended(batch)
        assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 3}
        assert len(system.sandbox.mails) == 3

    async def test_getting_a_file_stops_nothing_else(self, idle_system: System, s3: S3) -> None:
        system = idle_system
        await system.publish(EXIT)
        batch = await system.start(contacts(3))
        with s3.in_mood(pause=0.4):
            task = asyncio.create_task(reading.read(system.engine, batch, asyncio.Event()))
            longest, loop = 0.0, asyncio.get_running_loop()
            while not task.done():
                before = loop.time()
                await asyncio.sleep(0.01)
                longest = max(longest, loop.time() - before)
        assert longest < 0.35

    @pytest.mark.parametrize("elsewhere", [True, False])
    async def test_a_trace_tells_of_a_killed_sender_only_on_its_own_machine(
        self, idle_system: System, tmp_path: Path, elsewhere: bool
    ) -> None:
        system = idle_system
        await system.publish(MAIL)
        batch = await system.start(contacts(30))
        await reading.read(system.engine, batch, asyncio.Event())
        await _die_sending(system, batch, tmp_path if elsewhere else system.engine.settings.folder)
        async with working(system):
            found = await system.ended(batch)
        outcomes = found["ledger"]["steps"][0]["outcomes"]
        assert outcomes == ({"unknown": 10, "sent": 20} if elsewhere else {"sent": 30})
        mailed = {mail.recipients[0] for mail in system.sandbox.mails}
        assert mailed == {f"c{number}@example.com" for number in range(10, 30)}
        assert len(system.sandbox.mails) == 20
        unknown = await system.lines(f"batches/{batch}/journal?outcome=unknown")
        assert [each["contact"] for each in unknown] == [str(n) for n in range(10 if elsewhere else 0)]


async def _die_sending(system: System, batch: str, folder: Path) -> None:
    """A machine had just sent the first window when it went away."""
    async with system.engine.pool.connection() as connection:
        found = await row(connection, "select id from cohorts where batch_id = %(batch)s", batch=batch)
        assert found is not None
        assert await cohorts.claim(connection, found["id"], "dead")
    await Windows(system.engine.pool, found["id"], "dead").take(0, 10, system.clock.now())
    trace = Trace(folder / "traces", "dead", 0, 10)
    for index in range(10):
        trace.mark(index, Mark.SENT)
    trace.close()


async def put(url: str, content: bytes, **headers: str) -> None:
    """PUT to the store, as a client that knows nothing of Caravan."""
    async with httpx.AsyncClient() as client:
        answer = await client.put(url, content=content, headers={**NDJSON, **headers})
        assert answer.status_code == 200, answer.text


async def opened(system: System, definition: str = EXIT) -> tuple[str, str]:
    """A batch that awaits a direct upload: its id and URL."""
    await system.publish(definition)
    answer = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
    return answer["batchId"], answer["uploadUrl"]


async def collected(system: System, batch: str) -> None:
    """Look once, and do what is to be done then."""
    await direct.look(system.engine)
    await direct.collect(system.engine, batch)


async def read(system: System, batch: str) -> dict:  # type: ignore[type-arg]
    await reading.read(system.engine, batch, asyncio.Event())
    return await system.batch(batch)


class TestDirectUploads:
    async def test_the_url_is_the_stores_own_and_bound_to_its_object(
        self, idle_system: System, s3: S3, place: str
    ) -> None:
        batch, url = await opened(idle_system)
        assert url.startswith(f"{s3.endpoint}/{place}/here/inbox/{batch}/contacts?")
        query = httpx.URL(url).params
        assert (query["X-Amz-Expires"], query["X-Amz-SignedHeaders"]) == ("43200", "host")
        assert idle_system.token not in url

    async def test_the_batch_starts_within_seconds_after_the_object_appears(self, system: System) -> None:
        batch, url = await opened(system, SPRING)
        await asyncio.sleep(0.1)
        assert (await system.batch(batch))["state"] == "awaiting_upload"
        await put(url, contacts(150))
        found = await system.until(batch, lambda b: b["startedAt"] is not None, seconds=6)
        assert found["ledger"]["entered"] == 150

    async def test_size_and_sha256_are_known_once_it_is_read(self, idle_system: System) -> None:
        system, content = idle_system, contacts(5)
        batch, url = await opened(system)
        await put(url, content)
        await collected(system, batch)
        await read(system, batch)
        async with system.engine.pool.connection() as connection:
            found = await row(connection, "select bytes, sha256 from batches where id = %(id)s", id=batch)
        assert found == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    async def test_other_bytes_put_after_the_start_change_nothing_and_are_swept(
        self, idle_system: System, s3: S3, place: str
    ) -> None:
        system = idle_system
        batch, url = await opened(system)
        await put(url, contacts(5))
        await collected(system, batch)
        await put(url, contacts(9, start=100))
        await collected(system, batch)
        found = await read(system, batch)
        assert found["ledger"]["entered"] == 5
        assert any("/inbox/" in key for key in s3.keys(place))
        await direct.sweep(system.engine)
        assert not any("/inbox/" in key for key in s3.keys(place))
        assert (await system.batch(batch))["ledger"]["entered"] == 5

    async def test_other_bytes_put_just_before_the_start_are_taken_whole(
        self, idle_system: System, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        system = idle_system
        batch, url = await opened(system)
        await put(url, contacts(5))
        await direct.look(system.engine)
        inbox = system.engine.files.inbox
        assert inbox is not None
        first, look = [inbox.arrival(batch)], type(inbox).arrival
        await put(url, contacts(9))
        with monkeypatch.context() as at_that_moment:
            at_that_moment.setattr(
                type(inbox), "arrival", lambda self, each: first.pop() if first else look(self, each)
            )
            await direct.collect(system.engine, batch)
        assert (await system.batch(batch))["state"] == "receiving"
        await collected(system, batch)
        assert (await read(system, batch))["ledger"]["entered"] == 9

    async def test_an_object_that_is_gone_again_leaves_the_batch_waiting(
        self, idle_system: System, s3: S3, place: str
    ) -> None:
        system = idle_system
        batch, url = await opened(system)
        await put(url, contacts(5))
        await direct.look(system.engine)
        s3.client.delete_object(Bucket=place, Key=f"here/inbox/{batch}/contacts")
        await direct.collect(system.engine, batch)
        assert (await system.batch(batch))["state"] == "awaiting_upload"

    async def test_looking_and_collecting_twice_starts_once(self, idle_system: System) -> None:
        system = idle_system
        batch, url = await opened(system)
        await put(url, contacts(5))
        await direct.look(system.engine)
        await direct.look(system.engine)
        await asyncio.gather(direct.collect(system.engine, batch), direct.collect(system.engine, batch))
        await direct.look(system.engine)
        async with working(system):
            found = await system.ended(batch)
        assert (found["ledger"]["lines"], found["ledger"]["entered"]) == (5, 5)
        assert len(system.engine.files.names("batches")) == 1  # its one cohort

    @pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {}])
    async def test_a_packed_file_is_recognised(self, idle_system: System, headers: dict[str, str]) -> None:
        system = idle_system
        batch, url = await opened(system)
        await put(url, gzip.compress(contacts(5)), **headers)
        await collected(system, batch)
        assert (await read(system, batch))["ledger"]["entered"] == 5

    async def test_a_file_that_is_too_large_fails_its_batch(
        self, idle_system: System, settings: Settings, s3: S3, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        system = idle_system
        batch, url = await opened(system)
        monkeypatch.setitem(system.engine.settings.__dict__, "max_file_bytes", 10)
        await put(url, contacts(5))
        await collected(system, batch)
        found = await system.batch(batch)
        assert (found["state"], found["errorCode"]) == ("failed", "too_large")
        assert s3.keys(place) == []

    async def test_an_empty_object_fails_its_batch_with_a_sentence(self, idle_system: System) -> None:
        batch, url = await opened(idle_system)
        await put(url, b"")
        await collected(idle_system, batch)
        found = await read(idle_system, batch)
        assert (found["state"], found["errorCode"]) == ("failed", "empty")

    async def test_a_batch_for_which_nothing_comes_expires_and_what_comes_later_is_swept(
        self, idle_system: System, s3: S3, place: str
    ) -> None:
        system = idle_system
        batch, url = await opened(system)
        system.clock.turn(timedelta(hours=12, minutes=59))  # a PUT may have begun in time and still go on
        await direct.look(system.engine)
        assert (await system.batch(batch))["state"] == "awaiting_upload"
        system.clock.turn(timedelta(minutes=2))
        await direct.look(system.engine)
        assert (await system.batch(batch))["state"] == "expired"
        await put(url, contacts(5))
        await collected(system, batch)
        await direct.sweep(system.engine)
        assert s3.keys(place) == []
        assert (await system.batch(batch))["state"] == "expired"

    async def test_a_file_that_came_in_time_is_taken_however_late_somebody_looks(
        self, idle_system: System, s3: S3, impatient: None
    ) -> None:
        system = idle_system
        batch, url = await opened(system)
        await put(url, contacts(5))
        system.clock.turn(timedelta(hours=30))
        with s3.in_mood(errors=1000):
            await direct.look(system.engine)
        assert (await system.batch(batch))["state"] == "awaiting_upload"
        await collected(system, batch)
        assert (await read(system, batch))["ledger"]["entered"] == 5

    async def test_a_batch_says_that_nobody_can_look_for_its_file_while_the_store_is_away(
        self, idle_system: System, s3: S3, impatient: None
    ) -> None:
        system = idle_system
        batch, url = await opened(system)
        with s3.in_mood(errors=1000):
            await direct.look(system.engine)
        found = await system.batch(batch)
        assert (found["state"], "store of files" in found["waitingFor"]) == ("awaiting_upload", True)
        await direct.look(system.engine)
        assert (await system.batch(batch))["waitingFor"].startswith("the file: PUT it to the uploadUrl")
        await put(url, contacts(5))
        await collected(system, batch)
        assert (await read(system, batch))["ledger"]["entered"] == 5

    async def test_what_comes_for_a_cancelled_batch_starts_nothing(
        self, idle_system: System, s3: S3, place: str
    ) -> None:
        system = idle_system
        batch, url = await opened(system)
        await put(url, contacts(5))
        await direct.look(system.engine)
        assert (await system.post(f"batches/{batch}/cancel", {})).status_code == 200
        await direct.collect(system.engine, batch)
        await direct.sweep(system.engine)
        assert (await system.batch(batch))["state"] == "cancelled"
        assert s3.keys(place) == []

    async def test_objects_of_batches_that_are_not_ours_are_left_alone(
        self, idle_system: System, s3: S3, place: str
    ) -> None:
        system = idle_system
        batch, url = await opened(system)
        await put(url, contacts(5))
        await collected(system, batch)
        s3.client.put_object(Bucket=place, Key="here/inbox/b_another/contacts", Body=b"x")
        await direct.look(system.engine)
        await direct.sweep(system.engine)
        assert "here/inbox/b_another/contacts" in s3.keys(place)

    async def test_the_store_is_asked_nothing_while_nobody_waits(self, idle_system: System, s3: S3) -> None:
        with s3.in_mood() as mood:
            await direct.look(idle_system.engine)
            await direct.sweep(idle_system.engine)
        assert mood.asked == []

    async def test_a_repeated_call_gives_the_same_url(self, idle_system: System) -> None:
        await idle_system.publish(EXIT)
        calls = [
            await idle_system.post("batchtrigger/v2", {"entityId": 1}, **{"Idempotency-Key": "k"}) for _ in range(2)
        ]
        assert calls[0].json() == calls[1].json()

    async def test_clients_get_the_address_that_they_can_reach(self, settings: Settings, s3: S3, place: str) -> None:
        outside = settings.model_copy(update={"files_public_endpoint_url": "https://files.example.com"})
        async with open_engine(outside) as (engine, _):
            url = await direct.upload_url(engine, "b_1")
        assert url.startswith(f"https://files.example.com/{place}/here/inbox/b_1/contacts?")


async def test_direct_uploads_need_a_store_that_can_take_them(settings: Settings) -> None:
    with pytest.raises(InvalidSetting, match="CARAVAN_UPLOADS"):
        async with open_engine(settings.model_copy(update={"files_url": None})):
            pass
