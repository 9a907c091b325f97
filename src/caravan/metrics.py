"""What a process counts and times, in Prometheus's terms.

A process has one `Metrics`, which bootstrap.py makes. Every few seconds `store/metrics.py` adds what has changed to the
totals of the installation in PostgreSQL, and /metrics of any API shows these totals: workers need no port of their own,
and what a worker counted outlives it. The counters that say "counted by the database" change only there, in the
transaction of what they count.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric

#: A value with this ending is a moment, and the latest of several processes counts. All others are added.
MOMENT = "_timestamp_seconds"
_CREATED = "_created"  # a sample that says when the client library made a counter in this process
_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LONG = (0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_LATE = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the exposition: `name` with its ending (`_total`, `_bucket`, …), labels ordered by name."""

    name: str
    labels: Labels
    value: float

    @property
    def key(self) -> tuple[str, Labels]:
        """What tells it from all others."""
        return self.name, self.labels


class Metrics:
    """The counters and timers of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._told: dict[tuple[str, Labels], float] = {}
        self._counter("contacts", "Contacts that left a step, by outcome; counted by the database.", "outcome")
        self._counter("rejects", "Refused rows of files, by reason; counted by the database.", "code")
        self.retries = self._counter("retries", "Contacts to be tried again, once an attempt, by step type.", "step")
        self.moves = self._counter("moves", "Moves of cohorts that were committed, by step type.", "step")
        self.calls = self._counter("calls", "Calls of the API.", "method", "route", "status")
        self.sends = self._counter("sends", "Attempts to send one message, by channel and result.", "channel", "result")
        self.returns = self._counter(
            "returns", "Bounces, complaints and replies that came back, by kind and source.", "kind", "source"
        )
        ended = self._counter("batches_ended", "Batches that ended, by state; counted by the database.", "state")
        put_back = self._counter("jobs_put_back", "Jobs put back, by reason; counted by the database.", "reason")
        self._counter("job_deaths", "Jobs whose worker died while it ran them; counted by the database.")
        for state in ("completed", "failed", "cancelled", "expired"):
            ended.labels(state)
        for reason in ("worker_died", "end_not_noted"):
            put_back.labels(reason)
        self.move_seconds = self._histogram("move", "Time that a step took for a cohort, by step type.", _LONG, "step")
        self.commit_seconds = self._histogram("commit", "Time that the transaction of a move took.", _SHORT)
        self.send_seconds = self._histogram(
            "send", "Time of one attempt to send one message, with the wait for a connection.", _SHORT, "channel"
        )
        self.call_seconds = self._histogram(
            "call", "Time of a call of the API, to the end of its answer.", _LONG, "method", "route"
        )
        self.wake_lateness_seconds = self._histogram(
            "wake_lateness", "Time from a cohort's due time to its claim; a pause in between counts.", _LATE
        )
        self._reached = self._moment("reached", "When a channel's other side was last reached.")
        self._unreachable = self._moment("unreachable", "When a channel's other side could last not be reached.")

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"caravan_{name}", help, labels, registry=self._registry)

    def _histogram(self, name: str, help: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"caravan_{name}_seconds", help, labels, buckets=buckets, registry=self._registry)

    def _moment(self, name: str, help: str) -> Gauge:
        return Gauge(f"caravan_channel_{name}{MOMENT}", help, ["channel"], registry=self._registry)

    def sent(self, channel: str, result: str, seconds: float, *, reached: bool) -> None:
        """One attempt to send a message has ended. `reached`: the other side answered at all."""
        self.sends.labels(channel, result).inc()
        self.send_seconds.labels(channel).observe(seconds)
        (self._reached if reached else self._unreachable).labels(channel).set(time.time())

    @contextmanager
    def timed(self, histogram: Histogram) -> Iterator[None]:
        """Observe how long the block takes, unless it fails."""
        begun = time.perf_counter()
        yield
        histogram.observe(time.perf_counter() - begun)

    def families(self) -> list[Metric]:
        """All families with what this process has counted."""
        return list(self._registry.collect())

    def changes(self) -> list[Sample]:
        """What is not noted yet: what came to each sample, and moments as they are."""
        found = []
        for sample in self._samples():
            before = self._told.get(sample.key, 0.0)
            if sample.value != before:
                added = sample.value if sample.name.endswith(MOMENT) else sample.value - before
                found.append(Sample(sample.name, sample.labels, added))
        return found

    def note(self, changes: Sequence[Sample]) -> None:
        """These changes are in the totals now."""
        for each in changes:
            before = 0.0 if each.name.endswith(MOMENT) else self._told.get(each.key, 0.0)
            self._told[each.key] = before + each.value

    def _samples(self) -> Iterator[Sample]:
        for family in self._registry.collect():
            for each in family.samples:
                if not each.name.endswith(_CREATED):
                    yield Sample(each.name, tuple(sorted(each.labels.items())), each.value)
