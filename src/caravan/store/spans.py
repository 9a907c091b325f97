"""Spans: the sections of a very large file, each read by whichever worker comes first. One row each, until the batch
is forgotten or has entered."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from caravan.store import sql
from caravan.store.cohorts import Part
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "spans.sql")


class SpanState(StrEnum):
    """How far a span is. Only when all are `read`, they are compared; when all are `done`, everybody enters."""

    UNREAD = "unread"
    READ = "read"
    DOUBLED = "doubled"  # some of its contacts are in an earlier span too, and have to go
    DONE = "done"


UNDER_WAY = frozenset({SpanState.UNREAD, SpanState.DOUBLED})


@dataclass(frozen=True, slots=True)
class Receipt:
    """What reading a span gave: its ledger, and the names of its files in the store. A whole file is one span."""

    lines: int
    blank: int
    rejected: dict[str, int]
    parts: list[Part]  # in the order of the lines
    rejects: str | None
    ids: str | None = None  # the ids of its contacts, with hashes of this family
    hash_family: str = ""

    @property
    def entered(self) -> int:
        """The contacts in the parts."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class Span:
    """The lines that follow a newline in bytes `start` to `stop` of a file; the first span has line 1 too."""

    number: int
    start: int
    stop: int
    first_line: int
    state: SpanState = SpanState.UNREAD
    receipt: Receipt | None = None
    losers: str | None = None


async def add(connection: Connection, batch: str, spans: list[Span]) -> None:
    """Cut a batch's file into spans."""
    for each in spans:
        bounds = {"start": each.start, "stop": each.stop, "first_line": each.first_line}
        await connection.execute(_Q.add, {"batch": batch, "number": each.number, **bounds})


async def of_batch(connection: Connection, batch: str) -> list[Span]:
    """All spans of a batch's file, in its order; none if it is read whole."""
    return [_span(each) for each in await rows(connection, _Q.of_batch, batch=batch)]


async def get(connection: Connection, batch: str, number: int) -> Span | None:
    """One span, or None if it is gone."""
    found = await row(connection, _Q.one, batch=batch, number=number)
    return _span(found) if found else None


async def settle(connection: Connection, batch: str, span: Span, state: SpanState, receipt: Receipt) -> bool:
    """The span was worked on: it goes to `state` with this receipt. False if another worker has done that."""
    values = {"batch": batch, "number": span.number, "before": span.state, "state": state}
    return await row(connection, _Q.set_read, **values, receipt=Jsonb(asdict(receipt))) is not None


async def set_compared(connection: Connection, batch: str, span: Span, losers: str | None) -> None:
    """The span was compared with the others: it is done, or some of its contacts have to go."""
    await connection.execute(_Q.set_compared, {"batch": batch, "number": span.number, "losers": losers})


async def any_under_way(connection: Connection, batch: str) -> bool:
    """Whether one of a batch's spans has yet to be worked on."""
    found = await row(connection, _Q.any_under_way, batch=batch)
    return found is not None and bool(found["there"])


async def note_death(connection: Connection, batch: str, number: int) -> int:
    """A worker that worked on a span died; how many did so in a row."""
    found = await row(connection, _Q.note_death, batch=batch, number=number)
    return int(found["deaths"]) if found else 0


async def delete_of_batch(connection: Connection, batch: str) -> None:
    """Forget the spans of a batch's file."""
    await connection.execute(_Q.delete_of_batch, {"batch": batch})


def _span(found: DictRow) -> Span:
    receipt = found["receipt"]
    return Span(
        number=found["number"],
        start=found["start_at"],
        stop=found["stop_at"],
        first_line=found["first_line"],
        state=SpanState(found["state"]),
        receipt=_receipt(receipt) if receipt else None,
        losers=found["losers"],
    )


def _receipt(read: dict[str, Any]) -> Receipt:
    return Receipt(**{**read, "parts": [Part(**each) for each in read["parts"]]})
