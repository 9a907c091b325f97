"""The page /metrics: the totals of all processes, and what stands in the database at this moment."""

from collections.abc import Iterable, Iterator

from prometheus_client import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from caravan.metrics import MOMENT, Labels, Metrics, Sample
from caravan.store import batches, breakers, cohorts, jobs
from caravan.store import metrics as store
from caravan.store.breakers import Breaker, State
from caravan.store.database import Connection, Pool


async def exposition(pool: Pool, metrics: Metrics) -> bytes:
    """The page, in Prometheus's text format 0.0.4. What this process has counted is reported first."""
    changes = metrics.changes()
    async with pool.connection() as connection:
        await store.add(connection, changes)
        totals = await store.totals(connection)
        gauges = await _gauges(connection)
    metrics.note(changes)
    return generate_latest(_Page([*gauges, *_away(totals), *_merged(metrics.families(), totals)]))


class _Page(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


async def _gauges(connection: Connection) -> list[Metric]:
    by_state = await batches.by_state(connection)
    standing = await cohorts.totals(connection)
    waiting = await jobs.by_queue(connection)
    beats = await store.heartbeats(connection)
    stopped = _stopped(await breakers.unclosed(connection))
    states = GaugeMetricFamily("caravan_batches", "Batches by state.", labels=["state"])
    for state, count in by_state.items():
        states.add_metric([state], count)
    queues = GaugeMetricFamily("caravan_jobs", "Jobs that wait or run, by queue.", labels=["queue", "status"])
    for each in waiting:
        queues.add_metric([each.queue, each.status], each.jobs)
    return [
        states,
        stopped,
        _gauge("contacts_standing", "Contacts that stand at a step.", standing.contacts),
        _gauge("contacts_stuck", "Those of them that wait for a retry by command.", standing.stuck),
        _gauge("cohorts_standing", "Cohorts that stand at a step.", standing.cohorts),
        queues,
        _gauge("workers", "Workers, one a queue and process, that gave a sign of life lately.", beats.heard),
        _gauge("worker_last_heartbeat_seconds", "Time since any worker gave a sign of life.", beats.last),
        _gauge(
            "worker_heartbeat_age_seconds",
            "The longest time since a worker with running jobs gave a sign of life.",
            beats.silent,
        ),
    ]


def _gauge(name: str, help: str, value: float | None) -> Metric:
    """A gauge without labels; without a sample where there is no value."""
    family = GaugeMetricFamily(f"caravan_{name}", help)
    if value is not None:
        family.add_metric([], value)
    return family


def _stopped(found: Iterable[Breaker]) -> Metric:
    """Breakers that are not closed: 0 for one that is tried."""
    labels = ["channel", "relay", "provider"]
    help = "1 for each relay, or provider by it, to which no mail goes now; 0 while it is tried."
    family = GaugeMetricFamily("caravan_breaker_open", help, labels=labels)
    for each in found:
        family.add_metric([each.channel, each.relay, each.provider], float(each.state is State.OPEN))
    return family


def _away(totals: Iterable[Sample]) -> Iterator[Metric]:
    """Channels whose other side could not be reached at the last attempt."""
    moments = {each.key: each.value for each in totals if each.name.endswith(MOMENT)}
    family = GaugeMetricFamily(
        "caravan_channel_away", "1 if the last attempt reached no relay or host.", labels=["channel"]
    )
    reached, unreachable = (f"caravan_channel_{each}{MOMENT}" for each in ("reached", "unreachable"))
    for labels in sorted({labels for _, labels in moments}):
        away = moments.get((unreachable, labels), 0.0) > moments.get((reached, labels), 0.0)
        family.add_metric([value for _, value in labels], float(away))
    yield family


def _merged(families: Iterable[Metric], totals: Iterable[Sample]) -> Iterator[Metric]:
    """The families of a process with the samples of all."""
    values = {each.key: each.value for each in totals}
    for family in families:
        names = {f"{family.name}{ending}" for ending in ("", "_total", "_bucket", "_count", "_sum")}
        merged = Metric(family.name, family.documentation, family.type)
        zeros = {(each.name, tuple(sorted(each.labels.items()))): 0.0 for each in family.samples if each.name in names}
        for name, labels in sorted({**zeros, **{key: 0.0 for key in values if key[0] in names}}, key=_order):
            merged.add_sample(name, dict(labels), values.get((name, labels), 0.0))
        yield merged


def _order(key: tuple[str, Labels]) -> tuple[Labels, str, float]:
    """By labels, a histogram's buckets by their bounds."""
    name, labels = key
    others = tuple(each for each in labels if each[0] != "le")
    return others, name, next((float(value) for label, value in labels if label == "le"), 0.0)
