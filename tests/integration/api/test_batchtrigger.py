"""The wire protocol, as its clients see it."""

import gzip
import hashlib

import pytest
import zstandard

from tests.integration.conftest import NDJSON, House
from tests.integration.journeys_for_tests import EXIT, SPRING, contacts


async def _open(house: House) -> dict:  # type: ignore[type-arg]
    answer = await house.post("batchtrigger/v2", {"entityId": 1})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def _put(house: House, url: str, content: bytes = contacts(3), **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (await house.http.put(url, content=content, headers={**NDJSON, **named})).status_code


async def test_a_file_that_is_put_to_the_upload_url_goes_all_the_way(house: House) -> None:
    await house.publish(EXIT)
    content = contacts(3)
    opened = await _open(house)
    answer = await house.http.put(opened["uploadUrl"], content=content, headers=NDJSON)
    assert answer.json() == {
        "batchId": opened["batchId"],
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    found = await house.ended(opened["batchId"])
    assert found["state"] == "completed"
    assert found["ledger"]["entered"] == 3
    assert found["ledger"]["steps"] == [{"step": "out", "arrived": 3, "standing": 0, "outcomes": {"passed": 3}}]


async def test_the_upload_url_needs_no_token_and_calls_work_below_rest_too(house: House) -> None:
    await house.publish(EXIT)
    answer = await house.http.post(f"/rest/{house.customer}/batchtrigger/v2", json={"entityId": 1})
    url = answer.json()["uploadUrl"]
    bare = await house.http.put(url, content=contacts(1), headers={**NDJSON, "Authorization": ""})
    assert bare.status_code == 200


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.compress), (None, gzip.compress)]
)
async def test_packed_files_are_read_by_header_or_by_their_first_bytes(house: House, encoding: str, pack) -> None:  # type: ignore[no-untyped-def]
    await house.publish(EXIT)
    headers = {"Content-Encoding": encoding} if encoding else {}
    batch = await house.start(pack(contacts(50)), **headers)
    assert (await house.ended(batch))["ledger"]["entered"] == 50


async def test_the_same_bytes_again_start_nothing_twice_and_others_are_refused(house: House) -> None:
    await house.publish(EXIT)
    opened = await _open(house)
    assert await _put(house, opened["uploadUrl"]) == 200
    assert await _put(house, opened["uploadUrl"]) == 200
    assert await _put(house, opened["uploadUrl"], contacts(4)) == 409
    found = await house.ended(opened["batchId"])
    assert await _put(house, opened["uploadUrl"]) == 200
    assert found["ledger"]["entered"] == 3
    assert (await house.batch(opened["batchId"]))["ledger"] == found["ledger"]


async def test_an_upload_url_is_good_for_twelve_hours(house: House) -> None:
    await house.publish(EXIT)
    late, in_time = await _open(house), await _open(house)
    await house.turn(hours=11, minutes=59)
    assert await _put(house, in_time["uploadUrl"]) == 200
    await house.turn(minutes=2)
    assert await _put(house, late["uploadUrl"]) == 410


async def test_an_upload_url_that_was_changed_is_forbidden(house: House) -> None:
    await house.publish(EXIT)
    url = (await _open(house))["uploadUrl"]
    assert await _put(house, url[:-1] + ("A" if url[-1] != "A" else "B")) == 403
    assert await _put(house, "/uploads/nonsense") == 403
    other = (await _open(house))["uploadUrl"]
    mixed = url.rsplit(".", 1)[0] + "." + other.rsplit(".", 1)[1]
    assert await _put(house, mixed) == 403


@pytest.mark.parametrize("kind", ["application/json", "", "text/plain; charset=utf-16", "application/octet-stream"])
async def test_another_type_is_unsupported(house: House, kind: str) -> None:
    await house.publish(EXIT)
    opened = await _open(house)
    assert await _put(house, opened["uploadUrl"], Content_Type=kind) == 415
    assert await _put(house, opened["uploadUrl"], Content_Encoding="br") == 415
    assert await _put(house, opened["uploadUrl"], Content_Type="text/plain; charset=UTF-8") == 200


async def test_a_file_over_the_limit_is_refused_and_leaves_nothing(idle_house: House) -> None:
    house = idle_house
    small = house.engine.settings.model_copy(update={"max_file_bytes": 150})
    object.__setattr__(house.engine, "settings", small)
    await house.publish(EXIT)
    opened = await _open(house)
    assert await _put(house, opened["uploadUrl"], contacts(5)) == 413

    async def pieces():  # type: ignore[no-untyped-def]
        for _ in range(5):
            yield contacts(1)

    answer = await house.http.put(opened["uploadUrl"], content=pieces(), headers=NDJSON)
    assert answer.status_code == 413
    assert list(house.engine.uploads.iterdir()) == []
    assert (await house.batch(opened["batchId"]))["state"] == "awaiting_upload"
    assert await _put(house, opened["uploadUrl"], contacts(1)) == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"{}", "entityId"),
        (b'{"entityId": "4711"}', "entityId"),
        (b'{"entityId": 1.5}', "entityId"),
        (b'{"entityId": true}', "entityId"),
        (b'{"entityId": -1}', "entityId"),
        (b'{"entityId": 99999999999999999999}', "entityId"),
        (b'{"entityId": 1, "type": "OTHER"}', "type"),
        (b'{"entityId": 1, "downloadUrl": 7}', "downloadUrl"),
        (b'{"entityId": 1, "downloadUrl": "file:///etc/passwd"}', "http"),
        (b'{"entityId": 1, "downloadUrl": "nonsense"}', "http"),
        (b"[" * 100_000, "not JSON"),
    ],
)
async def test_a_body_that_cannot_be_used_is_told_what_to_do(house: House, body: bytes, says: str) -> None:
    await house.publish(EXIT)
    answer = await house.http.post(house.path("batchtrigger/v2"), content=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert says in problem["detail"]
    assert problem["error"] == problem["detail"]
    assert problem["status"] == 400


async def test_an_unknown_journey_is_not_found_and_told_how_to_publish(house: House) -> None:
    answer = await house.post("batchtrigger/v2", {"entityId": 77})
    assert answer.status_code == 404
    assert "publish" in answer.json()["error"]


async def test_tokens_are_needed_and_keep_customers_apart(house: House) -> None:
    from caravan.store.customers import add_customer, create_token

    await house.publish(EXIT)
    batch = await house.start(contacts(1))
    async with house.engine.pool.connection() as connection:
        other = await add_customer(connection, "other", house.clock.now())
        token = await create_token(connection, other, "t", house.clock.now())
    theirs = {"Authorization": f"Bearer {token}"}
    assert (await house.http.get(f"/{other}/batches", headers=theirs)).json() == []
    for path in (f"batches/{batch}", f"batches/{batch}/rejects", f"batches/{batch}/journal", "journeys/1"):
        assert (await house.http.get(f"/{other}/{path}", headers=theirs)).status_code == 404, path
        assert (await house.http.get(f"/{house.customer}/{path}", headers=theirs)).status_code == 401, path
    for change in ("pause", "resume", "cancel"):
        answer = await house.http.post(f"/{other}/batches/{batch}/{change}", headers=theirs)
        assert answer.status_code == 404
    started = await house.http.post(f"/{other}/batchtrigger/v2", json={"entityId": 1}, headers=theirs)
    assert started.status_code == 404
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic abc"}):
        assert (await house.http.get(house.path("batches"), headers=headers)).status_code == 401
    header = {"Authorization": "", "X-Carma-Authentication-Token": house.token}
    assert (await house.http.get(house.path("batches"), headers=header)).status_code == 200
    assert (await house.http.get("/nonsense/batches")).status_code == 401
    assert (await house.http.get(f"/{2**70}/batches")).status_code == 401


async def test_an_idempotency_key_answers_the_same_for_a_day(house: House) -> None:
    await house.publish(EXIT)
    key = {"Idempotency-Key": "night-1"}
    first = await house.post("batchtrigger/v2", {"entityId": 1}, **key)
    again = await house.post("batchtrigger/v2", {"entityId": 1}, **key)
    assert first.json() == again.json()
    changed = await house.post("batchtrigger/v2", {"entityId": 1, "options": {}}, **key)
    assert changed.status_code == 409
    assert len((await house.get("batches")).json()) == 1
    await house.turn(hours=25)
    assert (await house.post("batchtrigger/v2", {"entityId": 1}, **key)).json() != first.json()


async def test_a_call_that_failed_does_not_use_up_its_key(house: House) -> None:
    key = {"Idempotency-Key": "early"}
    assert (await house.post("batchtrigger/v2", {"entityId": 1}, **key)).status_code == 404
    await house.publish(EXIT)
    assert (await house.post("batchtrigger/v2", {"entityId": 1}, **key)).status_code == 200


async def test_twins_with_one_key_at_the_same_moment_make_one_batch(house: House) -> None:
    import asyncio

    await house.publish(EXIT)
    calls = [house.post("batchtrigger/v2", {"entityId": 1}, **{"Idempotency-Key": "k"}) for _ in range(8)]
    answers = await asyncio.gather(*calls)
    assert len({answer.text for answer in answers}) == 1
    assert len((await house.get("batches")).json()) == 1


async def test_two_puts_at_once_start_one_batch(house: House) -> None:
    import asyncio

    await house.publish(EXIT)
    opened = await _open(house)
    statuses = await asyncio.gather(*(_put(house, opened["uploadUrl"], contacts(300)) for _ in range(4)))
    assert statuses == [200] * 4
    found = await house.ended(opened["batchId"])
    assert found["ledger"]["entered"] == 300


async def test_errors_of_the_router_are_problems_too(house: House) -> None:
    missing = await house.http.get("/1/2/3/4")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    wrong = await house.http.delete(house.path("batches"))
    assert (wrong.status_code, wrong.json()["error"]) == (405, wrong.json()["detail"])
    assert (await house.get("batches?limit=0")).status_code == 400


async def test_docs_and_health_need_no_customer(house: House) -> None:
    assert (await house.http.get("/healthz")).json() == {"status": "ok"}
    assert (await house.http.get("/readyz")).status_code == 200
    assert (await house.http.get("/docs")).status_code == 200
    paths = (await house.http.get("/openapi.json")).json()["paths"]
    assert "/{customerid}/batchtrigger/v2" in paths
    await house.publish(SPRING)
    await house.start(contacts(4))
    metrics = (await house.http.get("/metrics")).text
    assert 'caravan_batches{state="' in metrics
    assert "caravan_contacts_standing" in metrics


@pytest.mark.parametrize("path", ["batches/%00", "batches?before=%00", "journals"])
async def test_what_cannot_be_stored_is_a_4xx(house: House, path: str) -> None:
    answer = await house.get(path)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["error"]


async def test_nul_and_half_surrogates_in_a_body_are_a_4xx(house: House) -> None:
    await house.publish(EXIT)
    for url in ('"http://example.com/\\u0000"', '"http://example.com/\\ud800"'):
        content = f'{{"entityId": 1, "downloadUrl": {url}}}'.encode()
        answer = await house.http.post(house.path("batchtrigger/v2"), content=content)
        assert answer.status_code == 400, answer.text
    assert (await house.http.get(f"/{'0' * 5000}/batches")).status_code == 401
    hook = 'journey: 1\nname: x\nsteps:\n  - id: h\n    webhook: {url: "https://example.com/", body: {a: "\\0"}}\n'
    assert 400 <= (await house.http.put(house.path("journeys/1"), content=hook)).status_code < 500


async def test_a_batch_does_not_keep_the_download_url_once_it_has_the_file(idle_house: House) -> None:
    from caravan.engine.start import Received, receive

    house = idle_house
    await house.publish(EXIT)
    url = "https://files.example.com/c?signature=verysecret"
    batch = (await house.post("batchtrigger/v2", {"entityId": 1, "downloadUrl": url})).json()["batchId"]
    house.engine.settings.folder.mkdir(exist_ok=True)
    file = house.engine.settings.folder / "got"
    file.write_bytes(contacts(1))
    await receive(house.engine, batch, Received(file, file.stat().st_size, "00", None))
    async with house.engine.pool.connection() as connection:
        kept = await (await connection.execute("select * from batches")).fetchall()
    assert "verysecret" not in str(kept)
