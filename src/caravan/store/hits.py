"""Hits on the links and images of messages, as they came, for some days; and the verdicts on them, counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "hits.sql")
_SLICE = 20_000  # hits that are forgotten in one statement


@dataclass(frozen=True, slots=True)
class Hit:
    """One request for a link or an image of a message."""

    customer: int
    batch: str
    step: str
    visit: int
    line: int
    event: str  # opened or clicked
    link: str | None  # its name; None for the image
    url: str | None  # where it led
    method: str
    at: datetime
    written_at: datetime | None  # the message, as far as the URL says it
    agent: str
    prefetch: bool  # it said itself that nobody had asked for it
    id: int = 0  # 0: not stored yet

    @property
    def delivery(self) -> tuple[str, str, int, int]:
        """The delivery whose message it is of."""
        return self.batch, self.step, self.visit, self.line


@dataclass(frozen=True, slots=True)
class Counted:
    """So many events with this verdict came from the messages of a step."""

    step: str
    event: str
    verdict: str
    events: int


async def add(connection: Connection, hits: Sequence[Hit]) -> None:
    """Store hits that are to be judged."""
    await connection.execute(
        _Q.add,
        {
            "customers": [each.customer for each in hits],
            "batches": [each.batch for each in hits],
            "steps": [each.step for each in hits],
            "visits": [each.visit for each in hits],
            "lines": [each.line for each in hits],
            "events": [each.event for each in hits],
            "links": [each.link for each in hits],
            "urls": [each.url for each in hits],
            "methods": [each.method for each in hits],
            "ats": [each.at for each in hits],
            "written": [each.written_at for each in hits],
            "agents": [each.agent for each in hits],
            "prefetches": [each.prefetch for each in hits],
        },
    )


async def to_judge(connection: Connection, until: datetime, limit: int) -> list[Hit]:
    """The oldest hits that are not judged yet, and came until then."""
    return [_hit(each) for each in await rows(connection, _Q.to_judge, until=until, limit=limit)]


async def any_waits(connection: Connection) -> bool:
    """Whether a hit is not judged yet."""
    found = await row(connection, _Q.waits)
    return bool(found and found["there"])


async def around(
    connection: Connection, hits: Sequence[Hit], since: datetime, until: datetime, limit: int
) -> list[Hit]:
    """All hits of the same deliveries in this time, themselves included."""
    ids = [each.id for each in hits]
    return [_hit(each) for each in await rows(connection, _Q.around, ids=ids, since=since, until=until, limit=limit)]


async def settle(connection: Connection, verdicts: Mapping[int, tuple[str, str]]) -> set[int]:
    """Note verdicts, with their reasons, on hits that had none; those hits."""
    values = {
        "ids": list(verdicts),
        "verdicts": [verdict for verdict, _ in verdicts.values()],
        "reasons": [because for _, because in verdicts.values()],
    }
    return {each["id"] for each in await rows(connection, _Q.settle, **values)}


async def count(connection: Connection, counts: Mapping[tuple[str, str, str, str], int]) -> None:
    """Count events: {(batch, step, event, verdict): how many}."""
    values = {
        "batches": [batch for batch, _, _, _ in counts],
        "steps": [step for _, step, _, _ in counts],
        "events": [event for _, _, event, _ in counts],
        "verdicts": [verdict for _, _, _, verdict in counts],
        "counts": list(counts.values()),
    }
    await connection.execute(_Q.count, values)


async def verdicts(connection: Connection, batch: str) -> list[Counted]:
    """What is counted of a batch."""
    return [Counted(**each) for each in await rows(connection, _Q.verdicts, batch=batch)]


async def forget_old(connection: Connection, before: datetime) -> bool:
    """Forget some of the hits from before then; whether there may be more."""
    done = await connection.execute(_Q.forget_old, {"before": before, "limit": _SLICE})
    return done.rowcount >= _SLICE


async def forget_batch(connection: Connection, batch: str) -> None:
    """Delete the hits of a batch whose contacts are deleted. What was counted stays."""
    await connection.execute(_Q.forget_batch, {"batch": batch})


async def forget_customer(connection: Connection, customer: int) -> None:
    """Delete all of a customer that is about to be removed."""
    await connection.execute(_Q.forget_customer, {"customer": customer})
    await connection.execute(_Q.forget_verdicts, {"customer": customer})


def _hit(found: DictRow) -> Hit:
    return Hit(
        customer=found["customer_id"],
        batch=found["batch_id"],
        step=found["step"],
        visit=found["visit"],
        line=found["line"],
        event=found["event"],
        link=found["link"],
        url=found["url"],
        method=found["method"],
        at=found["at"],
        written_at=found["written_at"],
        agent=found["agent"],
        prefetch=found["prefetch"],
        id=found["id"],
    )
