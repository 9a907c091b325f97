"""A very large file is read in spans, by all workers that are there, and nobody can tell from what comes of it."""

import asyncio
import gzip
import json
import random
from contextlib import AsyncExitStack
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from caravan.channels.sandbox import Sandbox
from caravan.engine import control, reading, spans
from caravan.settings import Settings
from caravan.store import spans as rows
from caravan.store.spans import SpanState
from tests.integration.conftest import System, open_house, working
from tests.integration.journeys_for_tests import EXIT
from tests.s3 import S3

SPAN = 16_384


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.long)])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Files over 16 KiB are very large here."""
    change: dict[str, object] = {"span_bytes": SPAN, "max_row_bytes": 1_000}
    if request.param == "s3":
        s3: S3 = request.getfixturevalue("s3")
        change |= {"files_url": f"s3://{s3.bucket()}/files", "files_endpoint_url": s3.endpoint}
    return settings.model_copy(update=change)


def mixed(rows: int, seed: int = 1) -> bytes:
    """Rows of all kinds: many with an id that others have too, near and far; bad, blank and too long ones."""
    chance = random.Random(seed)
    return b'{"id": "first"}\n' + b"".join(_row(chance, number) + b"\n" for number in range(1, rows))


def _row(chance: random.Random, number: int) -> bytes:
    match chance.randrange(12):
        case 0:
            return b"nonsense"
        case 1:
            return b" \r"
        case 2:
            return b'{"id": "long", "properties": {"a": "%s"}}' % (b"x" * chance.choice((900, 1_100, 9_000)))
        case 3 | 4 | 5:
            number = chance.randrange(number + 1)
    return json.dumps({"id": f"c{number}", "properties": {"vorname": "Zoë" * chance.randrange(5)}}).encode()


async def read_by_hand(system: System, batch: str, orders: random.Random) -> None:
    """What workers do with a batch's file, one span after the other, in any order."""
    stopping = asyncio.Event()
    await reading.read(system.engine, batch, stopping)
    while found := await _left(system, batch):
        for span in orders.sample(found, len(found)):
            await spans.take(system.engine, batch, span.number, stopping)
        await spans.join(system.engine, batch, stopping)


async def _left(system: System, batch: str) -> list[rows.Span]:
    async with system.engine.pool.connection() as connection:
        return await rows.of_batch(connection, batch)


async def read_whole(system: System, content: bytes) -> str:
    """A batch whose file was read by one worker that knows no large files."""
    settings = system.engine.settings.model_copy(update={"span_bytes": 1 << 40})
    batch = await system.start(content)
    await reading.read(replace(system.engine, settings=settings), batch, asyncio.Event())
    return batch


async def told(system: System, batch: str) -> tuple[dict, list, list]:  # type: ignore[type-arg]
    """All that came of a file: ledger, rejects, and the contacts that stand at the first step, in their order."""
    ledger = (await system.batch(batch))["ledger"]
    contacts: list[dict] = []  # type: ignore[type-arg]
    async with system.engine.pool.connection() as connection:
        query = "select file from cohorts where batch_id = %s order by id"
        for each in await (await connection.execute(query, (batch,))).fetchall():
            with system.engine.files.local(each["file"]) as path:
                contacts += pq.read_table(path).to_pylist()
    for each in contacts:
        each["properties"] = json.loads(each["properties"])  # which may be written with more spaces or fewer
    return ledger, await system.lines(f"batches/{batch}/rejects"), contacts


@pytest.mark.parametrize("seed", range(3))
async def test_a_file_that_is_read_in_spans_gives_what_it_gives_when_read_whole(idle_system: System, seed: int) -> None:
    system, content = idle_system, mixed(600, seed)
    await system.publish(EXIT)
    expected = await read_whole(system, content)
    batch = await system.start(content)
    await reading.read(system.engine, batch, asyncio.Event())
    assert len(await _left(system, batch)) == -(-len(content) // SPAN)
    await read_by_hand(system, batch, random.Random(seed))
    ledger, rejects, contacts = await told(system, batch)
    assert (ledger, rejects, contacts) == await told(system, expected)
    assert ledger["rejected"]["duplicate"] > 20


async def test_several_workers_read_one_file(idle_system: System, settings: Settings, sandbox: Sandbox) -> None:
    system = idle_system
    await system.publish(EXIT)
    content = b"".join(b'{"id": "%d"}\n' % number for number in range(20_000))
    async with AsyncExitStack() as stack:
        batch = await system.start(content)
        for name in ("second", "third"):
            files = settings.files_url or str(settings.folder / "files")
            other = settings.model_copy(update={"data": settings.folder / name, "files_url": files})
            await stack.enter_async_context(working(await stack.enter_async_context(open_house(other, sandbox))))
        found = await system.ended(batch)
    assert found["ledger"]["entered"] == 20_000
    assert found["state"] == "completed"


async def test_nothing_of_the_spans_is_left_when_all_have_entered(idle_system: System) -> None:
    system = idle_system
    await system.publish(EXIT)
    batch = await system.start(mixed(300))
    await read_by_hand(system, batch, random.Random(1))
    assert await _left(system, batch) == []
    kinds = {name.rpartition("/")[2].partition("-")[0] for name in system.engine.files.names(f"batches/{batch}")}
    assert kinds == {"cohort", "rejects"}


async def test_a_span_that_two_workers_have_read_counts_once(idle_system: System) -> None:
    system, stopping = idle_system, asyncio.Event()
    await system.publish(EXIT)
    batch = await system.start(mixed(300))
    await reading.read(system.engine, batch, stopping)
    await asyncio.gather(*(spans.take(system.engine, batch, 0, stopping) for _ in range(3)))
    await read_by_hand(system, batch, random.Random(1))
    ledger = (await system.batch(batch))["ledger"]
    assert ledger["lines"] == 300


async def test_a_batch_that_is_cancelled_while_its_spans_are_read_enters_nobody(idle_system: System) -> None:
    system, stopping = idle_system, asyncio.Event()
    await system.publish(EXIT)
    batch = await system.start(mixed(300))
    await reading.read(system.engine, batch, stopping)
    found = await _left(system, batch)
    await spans.take(system.engine, batch, found[0].number, stopping)
    async with system.engine.pool.connection() as connection:
        await control.cancel(system.engine, connection, system.customer, batch)
    for span in found:
        await spans.take(system.engine, batch, span.number, stopping)
    await spans.join(system.engine, batch, stopping)
    assert (await system.batch(batch))["ledger"]["entered"] == 0
    assert [span.state for span in await _left(system, batch)].count(SpanState.READ) == 1


async def test_spans_without_a_job_get_one(idle_system: System) -> None:
    system = idle_system
    await system.publish(EXIT)
    batch = await system.start(mixed(300))
    await reading.read(system.engine, batch, asyncio.Event())
    async with system.engine.pool.connection() as connection:
        await connection.execute("delete from procrastinate_jobs")
    await reading.read(system.engine, batch, asyncio.Event())
    async with working(system):
        assert (await system.ended(batch))["state"] == "completed"


async def test_spans_whose_ids_were_hashed_by_another_version_are_compared_all_the_same(idle_system: System) -> None:
    system, stopping, content = idle_system, asyncio.Event(), mixed(600)
    await system.publish(EXIT)
    expected = await read_whole(system, content)
    batch = await system.start(content)
    await reading.read(system.engine, batch, stopping)
    for span in await _left(system, batch):
        await spans.take(system.engine, batch, span.number, stopping)
    await _hash_otherwise(system, batch, number=3)
    await read_by_hand(system, batch, random.Random(1))
    assert await told(system, batch) == await told(system, expected)


async def _hash_otherwise(system: System, batch: str, number: int) -> None:
    """As if another version, which hashes in another way, had read this span."""
    async with system.engine.pool.connection() as connection:
        span = await rows.get(connection, batch, number)
        assert span is not None and span.receipt is not None and span.receipt.ids is not None
        with system.engine.files.local(span.receipt.ids) as path:
            ids = pq.read_table(path)
        local = system.engine.settings.folder / "ids"
        other = pc.bit_wise_xor(ids["hash"], pa.scalar(12_345, pa.uint64()))
        pq.write_table(ids.set_column(0, "hash", other), local)
        system.engine.files.put(local, span.receipt.ids)
        changed = "update spans set receipt = jsonb_set(receipt, '{hash_family}', '\"other\"') where number = %s"
        await connection.execute(changed, (number,))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"nonsense\n" * 1_000, "too_many_rejects"),
        (b"{nonsense\n" * 1_000, "too_many_rejects"),
        (b"\n" * 10_000, "empty"),
        (b'{"id": "1"' + b" " * 10_000, "too_many_rejects"),
        (b"[" + b'{"id": "1"},\n' * 1_000 + b"]", "json_array"),
        (('{"id": "1"}\n' * 1_000).encode("utf-16"), "unreadable"),
    ],
)
async def test_a_large_file_that_can_not_be_used_fails_as_a_small_one_does(
    idle_system: System, content: bytes, code: str
) -> None:
    system = idle_system
    await system.publish(EXIT)
    expected = await system.batch(await read_whole(system, content))
    batch = await system.start(content)
    await reading.read(system.engine, batch, asyncio.Event())
    await read_by_hand(system, batch, random.Random(1))
    found = await system.batch(batch)
    assert (found["state"], found["errorCode"]) == ("failed", code)
    assert found["error"] == expected["error"]
    assert found["ledger"] == expected["ledger"]


async def test_a_large_compressed_file_is_read_whole(idle_system: System) -> None:
    system = idle_system
    await system.publish(EXIT)
    content = b"".join(json.dumps({"id": str(random.Random(n).random())}).encode() + b"\n" for n in range(2_000))
    for headers in ({}, {"Content-Encoding": "gzip"}):
        batch = await system.start(gzip.compress(content), **headers)
        await reading.read(system.engine, batch, asyncio.Event())
        assert (await system.batch(batch))["ledger"]["entered"] == 2_000
