"""What lines of the log belong to: a job's to its batch and cohort, a request's to the request."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from caravan.errors import Unavailable
from caravan.logs import LogHandler, formatter
from caravan.masking import Masker
from caravan.steps.split import Split
from caravan.store import batches
from tests.integration.conftest import System, working
from tests.integration.journeys_for_tests import EXIT, SPRING, contacts


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All lines, as JSON."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = LogHandler(stream), root.level
    handler.setFormatter(formatter(Masker(), as_json=True))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def _lines(log: io.StringIO, part: str) -> list[dict]:  # type: ignore[type-arg]
    return [found for line in log.getvalue().splitlines() if part in (found := json.loads(line))["message"]]


async def test_a_line_of_a_job_has_its_batch_its_cohort_and_its_customer(
    idle_system: System, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    system, failing, take = idle_system, [1], Split.take

    async def fails_once(self: Split, cohort, tools):  # type: ignore[no-untyped-def]
        if failing:
            failing.pop()
            raise Unavailable
        return await take(self, cohort, tools)

    monkeypatch.setattr(Split, "take", fails_once)
    await system.publish(SPRING)
    first, second = await system.start(contacts(10)), await system.start(contacts(10))
    async with working(system):
        for batch in (first, second):
            await system.until(batch, lambda b: b["ledger"]["steps"][3]["standing"] == 10)
    (retried,) = _lines(log, "is tried again")
    assert retried["batch"] in (first, second)
    assert f"cohort={retried['cohort']}" in retried["message"]
    assert retried["customer"] == system.customer
    for of_no_job in _lines(log, "Starting worker"):
        assert "batch" not in of_no_job
    for started in _lines(log, "Starting job read"):
        assert "cohort" not in started
    for read in _lines(log, "Job read"):  # how it ended, which is logged after it
        assert f"batch={read['batch']!r}" in read["message"]
        assert read["customer"] == system.customer


async def test_a_line_of_a_request_has_its_id_and_its_customer(
    system: System, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    await system.publish(EXIT)

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the token crv_0123456789ab_sesame-4711 is of no use")

    monkeypatch.setattr(batches, "shown", broken)
    path = system.path("batches/b_1")
    answers = [await system.http.get(path, headers={"X-Request-Id": each}) for each in ("one", "two")]
    answers.append(await system.http.get(path))
    assert [each.status_code for each in answers] == [500] * 3
    lines = _lines(log, "failed")
    assert [each["request"] for each in lines] == [each.headers["X-Request-Id"] for each in answers]
    assert [each["customer"] for each in lines] == [system.customer] * 3
    assert "sesame" not in log.getvalue()
