"""A journey as users see it: one of its versions, all of them, and what it does just now."""

from dataclasses import dataclass

from caravan.engine.engine import Engine
from caravan.journeys.model import Journey
from caravan.queries.listed import ListedBatch, listed
from caravan.store import journeys
from caravan.store.batches import Page
from caravan.store.database import Connection
from caravan.store.journeys import Listed, Published

NEWEST = 10  # batches that are told


@dataclass(frozen=True, slots=True)
class JourneyReport:
    """A journey at one moment: a version of it, all versions, newest first, with who published them where that is known
    ({version: name}), and its newest batches."""

    now: Listed
    shown: Published
    journey: Journey  # the version that is shown
    versions: list[Published]
    publishers: dict[int, str]
    batches: list[ListedBatch]

    @property
    def any_paused(self) -> bool:
        """Whether one of these batches is paused by itself; those held for review are resumed one by one."""
        found = (each.report.batch for each in self.batches)
        return any(each.paused_at and not each.ended and not each.held for each in found)


async def journey_report(
    engine: Engine, connection: Connection, customer: int, journey: int, version: int | None
) -> JourneyReport:
    """Report a journey with one of its versions, the newest by default. Raises `NotFound` if there is none such."""
    now = await journeys.one_listed(connection, customer, journey)
    wanted = now.version if version is None else version
    loaded = await engine.journeys.get(connection, customer, journey, wanted)
    versions = await journeys.list_versions(connection, customer, journey)
    return JourneyReport(
        now=now,
        shown=next(each for each in versions if each.version == wanted),
        journey=loaded,
        versions=versions,
        publishers=await journeys.publishers(connection, customer, journey),
        batches=await listed(engine, connection, customer, Page(NEWEST, journey=journey)),
    )
