"""Calls at a steady pace, and what is told of the time that they took."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import pytest
from aiohttp import web
from rich.console import Console

from caravan.bench.latency import Latencies, Round, percentile
from caravan.bench.load import LOOK, TRIGGER, Call, load
from caravan.bench.system import System
from caravan.errors import Unavailable


class Doors:
    """An API that stands still for a while, has read the batch at some time, or refuses."""

    def __init__(self, *, still: float = 0.0, read_after: int = 10**6, status: int = 200) -> None:
        self.until, self.read_after, self.status, self.looks = time.monotonic() + still, read_after, status, 0

    async def trigger(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self.until - time.monotonic())
        return web.json_response({"batchId": "b"}, status=self.status)

    async def look(self, request: web.Request) -> web.Response:
        self.looks += 1
        read = "2026-11-23T00:00:00+00:00" if self.looks >= self.read_after else None
        return web.json_response({"startedAt": read, "finishedAt": None})


@asynccontextmanager
async def opened(doors: Doors) -> AsyncIterator[System]:
    app = web.Application()
    app.add_routes([web.post("/1/batchtrigger/v2", doors.trigger), web.get("/1/batches/b", doors.look)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield System(0, Path(), f"http://{host}:{port}", 1, "t", "", "")
    finally:
        await runner.cleanup()


async def test_calls_are_made_when_they_are_due_and_a_stall_counts_for_each_that_it_kept_waiting() -> None:
    async with opened(Doors(still=0.5)) as system:
        calls = await asyncio.to_thread(load, system, "b", 1.0)
    dues = sorted(call.due - calls[0].due for call in calls)
    assert dues == pytest.approx([number / 50 for number in range(50)], abs=0.001)
    kept_waiting = [call for call in calls if call.name == TRIGGER and call.seconds > 0.05]
    assert len(kept_waiting) > 5
    assert {call.name for call in calls} == {LOOK, TRIGGER}


async def test_calls_end_when_the_batch_has_been_read() -> None:
    async with opened(Doors(read_after=5)) as system:
        calls = await asyncio.to_thread(load, system, "b")
    assert 9 <= len(calls) < 50


async def test_a_call_that_is_refused_ends_the_benchmark_with_one_sentence() -> None:
    async with opened(Doors(status=503)) as system:
        with pytest.raises(Unavailable, match="POST batchtrigger/v2 was answered with 503"):
            await asyncio.to_thread(load, system, "b", 5.0)


@pytest.mark.parametrize(("share", "value"), [(0.5, 51), (0.99, 100), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    assert percentile([float(each) for each in range(100, 0, -1)], share) == value


def a_round(slowness: float) -> Round:
    idle = [Call(name, 0.0, 0.01) for name in (LOOK, TRIGGER) for _ in range(10)]
    busy = [Call(TRIGGER, 1.0, 0.02), Call(TRIGGER, 3.0, 0.01 * slowness), Call(LOOK, 3.0, 0.03)]
    return Round.of(idle, busy, 2.0, {"serve": 0.04}, {"lines": 5})


def test_calls_are_told_by_phase_beside_the_idle_ones() -> None:
    found = json.loads(json.dumps(Latencies(5, [a_round(4), a_round(8)]).as_json()))
    by_phase = {(each["phase"], each["call"]): each for each in found["findings"]}
    assert ("uploading", LOOK) not in by_phase
    reading = by_phase["reading", TRIGGER]
    assert reading["calls"] == 2
    assert reading["p50"] == {"median": pytest.approx(0.06), "low": 0.04, "high": 0.08}
    assert reading["p50_ratio"] == pytest.approx(6.0)
    assert by_phase["uploading", TRIGGER]["p99_ratio"] == pytest.approx(2.0)
    assert found["idle_cpu_per_call"] == {"serve": pytest.approx(0.002)}


def test_the_table_shows_both_percentiles_and_the_ratios() -> None:
    out = StringIO()
    Latencies(5, [a_round(4), a_round(8)]).show(Console(file=out, width=110))
    for words in ("reading", "60.0 (40.0 – 80.0)", "6.00, 6.00", "serve 2.00 ms"):
        assert words in out.getvalue()
