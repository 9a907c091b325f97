"""/metrics: valid, the same from each process, and what it counts agrees with the ledgers."""

import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from caravan.api.app import create_app
from caravan.bootstrap import open_engine
from caravan.metrics import Metrics, Sample
from caravan.store import metrics as store
from caravan.store.database import Pool
from tests.integration.conftest import System
from tests.integration.journeys_for_tests import EXIT, MAIL, WAIT, contacts

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def _samples(http: httpx.AsyncClient) -> Samples:
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found: Samples = {}
    for family in text_string_to_metric_families(answer.text):
        assert re.fullmatch(r"caravan_[a-z_]+", family.name) and family.documentation, family.name
        assert family.type in ("counter", "gauge", "histogram"), family.name
        for each in family.samples:
            key = each.name, tuple(sorted(each.labels.items()))
            assert key not in found, f"{key} stands twice"
            found[key] = each.value
    return found


async def test_counters_agree_with_the_ledger_and_every_latency_is_there(system: System) -> None:
    await system.publish(MAIL)
    bad = b'{"id": 1}\nnonsense\n'
    batch = await system.start(contacts(40) + bad)
    ledger = (await system.ended(batch))["ledger"]
    found = await _samples(system.http)
    outcomes: dict[str, int] = {}
    for step in ledger["steps"]:
        for outcome, count in step["outcomes"].items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
    for outcome, count in outcomes.items():
        assert found["caravan_contacts_total", (("outcome", outcome),)] == count
    for code, count in ledger["rejected"].items():
        assert found["caravan_rejects_total", (("code", code),)] == count
    assert found["caravan_batches_ended_total", (("state", "completed"),)] == 1
    assert found["caravan_batches_ended_total", (("state", "failed"),)] == 0
    assert found["caravan_moves_total", (("step", "email"),)] >= 1
    assert found["caravan_move_seconds_count", (("step", "email"),)] >= 1
    assert found["caravan_commit_seconds_count", ()] >= 1
    assert found["caravan_wake_lateness_seconds_count", ()] >= 1
    assert found["caravan_sends_total", (("channel", "email"), ("result", "sent"))] == 40
    assert found["caravan_send_seconds_count", (("channel", "email"),)] == 40
    assert found["caravan_channel_away", (("channel", "email"),)] == 0
    assert found["caravan_workers", ()] >= 1
    assert found["caravan_worker_last_heartbeat_seconds", ()] < 60
    call = ("method", "POST"), ("route", "/{customerid}/batchtrigger/v2")
    assert found["caravan_call_seconds_count", call] == 1
    assert found["caravan_calls_total", (*call, ("status", "200"))] == 1


async def test_single_starts_are_counted_by_their_route_though_they_are_not_routed(idle_system: System) -> None:
    await idle_system.publish(MAIL)
    person = {"id": "1", "properties": {"emailAddress": "a@example.com"}}
    for query in ("", "?x=y"):  # the second goes through the router
        await idle_system.post(f"journeys/1/commence{query}", person)
    found = await _samples(idle_system.http)
    call = ("method", "POST"), ("route", "/{customerid}/journeys/{journeyid}/commence")
    assert found["caravan_call_seconds_count", call] == 2
    assert not any(("route", "other") in labels for _, labels in found)


async def test_buckets_of_a_histogram_only_grow_with_their_bounds(system: System) -> None:
    await system.publish(WAIT)
    await system.start(contacts(3))
    found = await _samples(system.http)
    by_series: dict[tuple[object, ...], list[tuple[float, float]]] = {}
    for (name, labels), value in found.items():
        if name.endswith("_bucket"):
            others = tuple(each for each in labels if each[0] != "le")
            by_series.setdefault((name, others), []).append((float(dict(labels)["le"]), value))
    assert by_series
    for (name, others), buckets in by_series.items():
        counts = [value for _, value in sorted(buckets)]
        assert counts == sorted(counts), name
        assert counts[-1] == found[str(name).removesuffix("_bucket") + "_count", others]  # type: ignore[index]


async def test_a_channel_that_reaches_nobody_is_away_until_it_reaches_somebody(pool: Pool) -> None:
    async def away(metrics: Metrics) -> float:
        await store.report(pool, metrics)
        from caravan.queries.metrics import exposition

        page = (await exposition(pool, metrics)).decode()
        found = re.search(r'^caravan_channel_away\{channel="email"\} (\S+)$', page, re.MULTILINE)
        assert found is not None
        return float(found[1])

    first, second = Metrics(), Metrics()
    first.sent("email", "unreachable", 0.1, reached=False)
    assert await away(first) == 1
    second.sent("email", "sent", 0.1, reached=True)
    assert await away(second) == 0
    assert await away(first) == 0


async def test_each_process_adds_to_the_same_totals_and_nothing_twice(pool: Pool) -> None:
    first, second = Metrics(), Metrics()
    first.moves.labels("split").inc(3)
    second.moves.labels("split").inc(4)
    for each in (first, second, first, second):
        await store.report(pool, each)
    first.moves.labels("split").inc()
    await store.report(pool, first)
    async with pool.connection() as connection:
        await store.count(connection, "caravan_job_deaths_total", 2)
        await store.add(connection, [])
        totals = await store.totals(connection)
    assert Sample("caravan_moves_total", (("step", "split"),), 8) in totals
    assert Sample("caravan_job_deaths_total", (), 2) in totals


async def test_what_is_counted_while_the_database_is_away_is_reported_later(pool: Pool) -> None:
    metrics = Metrics()
    metrics.moves.labels("wait").inc(5)
    with pytest.raises(RuntimeError):
        async with pool.connection() as connection, connection.transaction():
            await store.add(connection, metrics.changes())
            raise RuntimeError("the database went away")
    await store.report(pool, metrics)
    async with pool.connection() as connection:
        assert Sample("caravan_moves_total", (("step", "wait"),), 5) in await store.totals(connection)


async def test_every_api_shows_what_a_worker_elsewhere_counted(system: System) -> None:
    await system.publish(EXIT)
    await system.ended(await system.start(contacts(7)))
    await store.report(system.engine.pool, system.engine.metrics)
    async with open_engine(system.engine.settings) as (other, _):
        transport = httpx.ASGITransport(app=create_app(other))
        async with httpx.AsyncClient(transport=transport, base_url="http://other.test") as http:
            found = await _samples(http)
    assert found["caravan_moves_total", (("step", "exit"),)] >= 1
    assert found["caravan_contacts_total", (("outcome", "passed"),)] == 7
