"""The wire protocol, as its clients see it."""

import gzip
import hashlib

import pytest
import zstandard

from tests.integration.conftest import NDJSON, System
from tests.integration.journeys_for_tests import EXIT, SPRING, contacts


async def _open(system: System) -> dict:  # type: ignore[type-arg]
    answer = await system.post("batchtrigger/v2", {"entityId": 1})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def _put(system: System, url: str, content: bytes = contacts(3), **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (await system.http.put(url, content=content, headers={**NDJSON, **named})).status_code


async def test_a_file_that_is_put_to_the_upload_url_goes_all_the_way(system: System) -> None:
    await system.publish(EXIT)
    content = contacts(3)
    opened = await _open(system)
    answer = await system.http.put(opened["uploadUrl"], content=content, headers=NDJSON)
    assert answer.json() == {
        "batchId": opened["batchId"],
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    found = await system.ended(opened["batchId"])
    assert found["state"] == "completed"
    assert found["ledger"]["entered"] == 3
    assert found["ledger"]["steps"] == [{"step": "out", "arrived": 3, "standing": 0, "outcomes": {"passed": 3}}]


async def test_the_upload_url_needs_no_token_and_calls_work_below_rest_too(system: System) -> None:
    await system.publish(EXIT)
    answer = await system.http.post(f"/rest/{system.customer}/batchtrigger/v2", json={"entityId": 1})
    url = answer.json()["uploadUrl"]
    bare = await system.http.put(url, content=contacts(1), headers={**NDJSON, "Authorization": ""})
    assert bare.status_code == 200


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.compress), (None, gzip.compress)]
)
async def test_packed_files_are_read_by_header_or_by_their_first_bytes(system: System, encoding: str, pack) -> None:  # type: ignore[no-untyped-def]
    await system.publish(EXIT)
    headers = {"Content-Encoding": encoding} if encoding else {}
    batch = await system.start(pack(contacts(50)), **headers)
    assert (await system.ended(batch))["ledger"]["entered"] == 50


async def test_the_same_bytes_again_start_nothing_twice_and_others_are_refused(system: System) -> None:
    await system.publish(EXIT)
    opened = await _open(system)
    assert await _put(system, opened["uploadUrl"]) == 200
    assert await _put(system, opened["uploadUrl"]) == 200
    assert await _put(system, opened["uploadUrl"], contacts(4)) == 409
    found = await system.ended(opened["batchId"])
    assert await _put(system, opened["uploadUrl"]) == 200
    assert found["ledger"]["entered"] == 3
    assert (await system.batch(opened["batchId"]))["ledger"] == found["ledger"]


async def test_an_upload_url_is_good_for_twelve_hours(system: System) -> None:
    await system.publish(EXIT)
    late, in_time = await _open(system), await _open(system)
    await system.turn(hours=11, minutes=59)
    assert await _put(system, in_time["uploadUrl"]) == 200
    await system.turn(minutes=2)
    assert await _put(system, late["uploadUrl"]) == 410


async def test_an_upload_url_that_was_changed_is_forbidden(system: System) -> None:
    await system.publish(EXIT)
    url = (await _open(system))["uploadUrl"]
    assert await _put(system, url[:-1] + ("A" if url[-1] != "A" else "B")) == 403
    assert await _put(system, "/uploads/nonsense") == 403
    other = (await _open(system))["uploadUrl"]
    mixed = url.rsplit(".", 1)[0] + "." + other.rsplit(".", 1)[1]
    assert await _put(system, mixed) == 403


@pytest.mark.parametrize("kind", ["application/json", "", "text/plain; charset=utf-16", "application/octet-stream"])
async def test_another_type_is_unsupported(system: System, kind: str) -> None:
    await system.publish(EXIT)
    opened = await _open(system)
    assert await _put(system, opened["uploadUrl"], Content_Type=kind) == 415
    assert await _put(system, opened["uploadUrl"], Content_Encoding="br") == 415
    assert await _put(system, opened["uploadUrl"], Content_Type="text/plain; charset=UTF-8") == 200


async def test_a_file_over_the_limit_is_refused_and_leaves_nothing(idle_system: System) -> None:
    system = idle_system
    small = system.engine.settings.model_copy(update={"max_file_bytes": 150})
    object.__setattr__(system.engine, "settings", small)
    await system.publish(EXIT)
    opened = await _open(system)
    assert await _put(system, opened["uploadUrl"], contacts(5)) == 413

    async def pieces():  # type: ignore[no-untyped-def]
        for _ in range(5):
            yield contacts(1)

    answer = await system.http.put(opened["uploadUrl"], content=pieces(), headers=NDJSON)
    assert answer.status_code == 413
    assert list(system.engine.uploads.iterdir()) == []
    assert (await system.batch(opened["batchId"]))["state"] == "awaiting_upload"
    assert await _put(system, opened["uploadUrl"], contacts(1)) == 200


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
async def test_a_body_that_cannot_be_used_is_told_what_to_do(system: System, body: bytes, says: str) -> None:
    await system.publish(EXIT)
    answer = await system.http.post(system.path("batchtrigger/v2"), content=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert says in problem["detail"]
    assert problem["error"] == problem["detail"]
    assert problem["status"] == 400


async def test_an_unknown_journey_is_not_found_and_told_how_to_publish(system: System) -> None:
    answer = await system.post("batchtrigger/v2", {"entityId": 77})
    assert answer.status_code == 404
    assert "publish" in answer.json()["error"]


async def test_tokens_are_needed_and_keep_customers_apart(system: System) -> None:
    from caravan.store.customers import add_customer, create_token

    await system.publish(EXIT)
    batch = await system.start(contacts(1))
    async with system.engine.pool.connection() as connection:
        other = await add_customer(connection, "other", system.clock.now())
        token = await create_token(connection, other, "t", system.clock.now())
    theirs = {"Authorization": f"Bearer {token}"}
    assert (await system.http.get(f"/{other}/batches", headers=theirs)).json() == []
    for path in (f"batches/{batch}", f"batches/{batch}/rejects", f"batches/{batch}/journal", "journeys/1"):
        assert (await system.http.get(f"/{other}/{path}", headers=theirs)).status_code == 404, path
        assert (await system.http.get(f"/{system.customer}/{path}", headers=theirs)).status_code == 401, path
    for change in ("pause", "resume", "cancel"):
        answer = await system.http.post(f"/{other}/batches/{batch}/{change}", headers=theirs)
        assert answer.status_code == 404
    started = await system.http.post(f"/{other}/batchtrigger/v2", json={"entityId": 1}, headers=theirs)
    assert started.status_code == 404
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic abc"}):
        assert (await system.http.get(system.path("batches"), headers=headers)).status_code == 401
    header = {"Authorization": "", "X-Carma-Authentication-Token": system.token}
    assert (await system.http.get(system.path("batches"), headers=header)).status_code == 200
    assert (await system.http.get("/nonsense/batches")).status_code == 401
    assert (await system.http.get(f"/{2**70}/batches")).status_code == 401


async def test_an_idempotency_key_answers_the_same_for_a_day(system: System) -> None:
    await system.publish(EXIT)
    key = {"Idempotency-Key": "night-1"}
    first = await system.post("batchtrigger/v2", {"entityId": 1}, **key)
    again = await system.post("batchtrigger/v2", {"entityId": 1}, **key)
    assert first.json() == again.json()
    changed = await system.post("batchtrigger/v2", {"entityId": 1, "options": {}}, **key)
    assert changed.status_code == 409
    assert len((await system.get("batches")).json()) == 1
    await system.turn(hours=25)
    assert (await system.post("batchtrigger/v2", {"entityId": 1}, **key)).json() != first.json()


async def test_a_call_that_failed_does_not_use_up_its_key(system: System) -> None:
    key = {"Idempotency-Key": "early"}
    assert (await system.post("batchtrigger/v2", {"entityId": 1}, **key)).status_code == 404
    await system.publish(EXIT)
    assert (await system.post("batchtrigger/v2", {"entityId": 1}, **key)).status_code == 200


async def test_twins_with_one_key_at_the_same_moment_make_one_batch(system: System) -> None:
    import asyncio

    await system.publish(EXIT)
    calls = [system.post("batchtrigger/v2", {"entityId": 1}, **{"Idempotency-Key": "k"}) for _ in range(8)]
    answers = await asyncio.gather(*calls)
    assert len({answer.text for answer in answers}) == 1
    assert len((await system.get("batches")).json()) == 1


async def test_two_puts_at_once_start_one_batch(system: System) -> None:
    import asyncio

    await system.publish(EXIT)
    opened = await _open(system)
    statuses = await asyncio.gather(*(_put(system, opened["uploadUrl"], contacts(300)) for _ in range(4)))
    assert statuses == [200] * 4
    found = await system.ended(opened["batchId"])
    assert found["ledger"]["entered"] == 300


async def test_errors_of_the_router_are_problems_too(system: System) -> None:
    missing = await system.http.get("/1/2/3/4")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    wrong = await system.http.delete(system.path("batches"))
    assert (wrong.status_code, wrong.json()["error"]) == (405, wrong.json()["detail"])
    assert (await system.get("batches?limit=0")).status_code == 400


async def test_docs_and_health_need_no_customer(system: System) -> None:
    assert (await system.http.get("/healthz")).json() == {"status": "ok"}
    assert (await system.http.get("/readyz")).status_code == 200
    assert (await system.http.get("/docs")).status_code == 200
    paths = (await system.http.get("/openapi.json")).json()["paths"]
    assert "/{customerid}/batchtrigger/v2" in paths
    await system.publish(SPRING)
    await system.start(contacts(4))
    metrics = (await system.http.get("/metrics")).text
    assert 'caravan_batches{state="' in metrics
    assert "caravan_contacts_standing" in metrics


@pytest.mark.parametrize("path", ["batches/%00", "batches?before=%00", "journals"])
async def test_what_cannot_be_stored_is_a_4xx(system: System, path: str) -> None:
    answer = await system.get(path)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["error"]


async def test_nul_and_half_surrogates_in_a_body_are_a_4xx(system: System) -> None:
    await system.publish(EXIT)
    for url in ('"http://example.com/\\u0000"', '"http://example.com/\\ud800"'):
        content = f'{{"entityId": 1, "downloadUrl": {url}}}'.encode()
        answer = await system.http.post(system.path("batchtrigger/v2"), content=content)
        assert answer.status_code == 400, answer.text
    assert (await system.http.get(f"/{'0' * 5000}/batches")).status_code == 401
    hook = 'journey: 1\nname: x\nsteps:\n  - id: h\n    webhook: {url: "https://example.com/", body: {a: "\\0"}}\n'
    assert 400 <= (await system.http.put(system.path("journeys/1"), content=hook)).status_code < 500


async def test_a_batch_does_not_keep_the_download_url_once_it_has_the_file(idle_system: System) -> None:
    from caravan.engine.start import Received, receive

    system = idle_system
    await system.publish(EXIT)
    url = "https://files.example.com/c?signature=verysecret"
    batch = (await system.post("batchtrigger/v2", {"entityId": 1, "downloadUrl": url})).json()["batchId"]
    system.engine.settings.folder.mkdir(exist_ok=True)
    file = system.engine.settings.folder / "got"
    file.write_bytes(contacts(1))
    await receive(system.engine, batch, Received(file, file.stat().st_size, "00", None))
    async with system.engine.pool.connection() as connection:
        kept = await (await connection.execute("select * from batches")).fetchall()
    assert "verysecret" not in str(kept)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"downloadURL": "https://x.example/f"}, "did you mean downloadUrl?"),
        ({"downlodUrl": "https://x.example/f"}, "did you mean downloadUrl?"),
        ({"ENTITYID": 1}, "did you mean entityId?"),
        ({"optoins": {}}, "did you mean options?"),
        ({"options": {"freezeWait": True}}, "did you mean freezeWaits?"),
        ({"options": {"hodl": True}}, "There is no member 'hodl'"),
    ],
)
async def test_a_misspelt_member_is_refused_with_the_good_ones(
    system: System, more: dict[str, object], said: str
) -> None:
    await system.publish(EXIT)
    answer = await system.post("batchtrigger/v2", {"entityId": 1, **more})
    assert (answer.status_code, said in answer.json()["error"]) == (400, True), answer.text


async def test_a_member_that_is_like_no_known_one_is_ignored(system: System) -> None:
    await system.publish(EXIT)
    answer = await system.post("batchtrigger/v2", {"entityId": 1, "priority": 3, "campaign": "spring"})
    assert answer.status_code == 200, answer.text
