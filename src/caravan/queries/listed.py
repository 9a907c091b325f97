"""Batches as a list shows them: each report with who opened it and how fast it moves."""

from dataclasses import dataclass

from caravan.engine.engine import Engine
from caravan.queries.batch import BatchReport, batch_reports
from caravan.store import audit
from caravan.store.batches import Page, Source, Starter
from caravan.store.database import Connection

_WAYS = {
    Source.UPLOAD: "file",
    Source.DIRECT: "file",
    Source.DOWNLOAD: "download",
    Source.RESTART: "restart",
}


@dataclass(frozen=True, slots=True)
class ListedBatch:
    """One line of the list; `rate` is contacts a second, None before it is known."""

    report: BatchReport
    by: str | None  # a user, the name of a token, or a user of the machine
    rate: float | None = None

    @property
    def way(self) -> str:
        """How contacts come in, in a word."""
        return way_in(self.report)


def way_in(report: BatchReport) -> str:
    """How contacts come into a batch, in a word."""
    batch = report.batch
    if batch.starter == Starter.SINGLE:
        return "single starts"
    return _WAYS.get(Source(batch.source), "file") if batch.source else "file"


async def opener(connection: Connection, customer: int, batch: str) -> str | None:
    """Who opened a batch, as far as the audit log knows: that of single starts was opened by itself."""
    return (await _openers(connection, customer, [batch])).get(batch)


async def listed(engine: Engine, connection: Connection, customer: int, wanted: Page) -> list[ListedBatch]:
    """A page of a customer's batches, newest first."""
    found = await batch_reports(engine, connection, customer, wanted)
    openers = await _openers(connection, customer, [each.batch.id for each in found])
    return [ListedBatch(each, openers.get(each.batch.id)) for each in found]


async def _openers(connection: Connection, customer: int, batches: list[str]) -> dict[str, str]:
    found = await audit.openers(connection, customer, [f"batch {each}" for each in batches])
    return {subject.removeprefix("batch "): name for subject, name in found.items()}
