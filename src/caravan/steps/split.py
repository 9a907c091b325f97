"""Split: the first condition that is true of a contact says where it goes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar, Self, cast

import duckdb
import pyarrow as pa
from pydantic import Field, model_validator

from caravan.journeys.fields import CountingCondition
from caravan.journeys.model_part import DefinitionPart
from caravan.journeys.segment_tree import Counted, Kind
from caravan.journeys.segments import Reading, Segment, compile_segment, each_value, first_true, readings
from caravan.steps.event_counts import EventCounts
from caravan.steps.sort import Arms, SortStep
from caravan.steps.why import Looked, Tried, Why

_KINDS = {Kind.NUMBER: "number", Kind.TIME: "time", Kind.TRUTH: "truth"}  # all others are texts


class Branch(DefinitionPart):
    """`{if: condition, to: step}`, or the last one: `{else: step}`."""

    condition: CountingCondition | None = Field(None, alias="if")
    to: str | None = None
    otherwise: str | None = Field(None, alias="else")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if self.otherwise is None and None in (self.condition, self.to):
            raise ValueError("a branch is {if: condition, to: step} or {else: step}")
        if self.otherwise is not None and (self.condition, self.to) != (None, None):
            raise ValueError("a branch with else has neither if nor to")
        return self


class Split(SortStep):
    """`split: [{if: …, to: …}, …, {else: …}]`."""

    kind: ClassVar[str] = "split"
    sole: ClassVar[str | None] = "branches"

    branches: tuple[Branch, ...]

    @property
    def conditions(self) -> list[tuple[str, str]]:
        """(condition, step id), in the order in which they are tried."""
        return [(each.condition, each.to) for each in self.branches if each.condition and each.to]

    @property
    def otherwise(self) -> str | None:
        """Where those go that no condition is true of; None ends their journey."""
        return next((each.otherwise for each in self.branches if each.otherwise), self.next)

    def targets(self) -> list[tuple[str, str]]:
        places = [
            (f"split[{index}].{key}", target)
            for index, each in enumerate(self.branches)
            for key, target in (("to", each.to), ("else", each.otherwise))
            if target is not None
        ]
        return places + super().targets()

    def captions(self) -> list[str]:
        own = [f"if {each.condition}" if each.condition else "else" for each in self.branches]
        return own + ["else" for _ in super().targets()]

    @property
    def summary(self) -> str:
        return f"{len(self.ways)} ways" if self.otherwise else f"{len(self.conditions)} ways, or the end"

    def check(self) -> Iterator[tuple[str, str]]:
        if not self.conditions:
            yield "split", "a split needs at least one branch {if: condition, to: step}"
        for index, each in enumerate(self.branches):
            if each.otherwise is not None and index < len(self.branches) - 1:
                yield f"split[{index}].else", "else must be the last branch"
        if self.next is not None and any(each.otherwise is not None for each in self.branches):
            yield "next", "else takes all other contacts, so next is never used"

    @property
    def ways(self) -> list[str | None]:
        return [*(to for _, to in self.conditions), self.otherwise]

    @property
    def asks_the_clock(self) -> bool:
        return any(each.asks_the_clock or each.counts for each in self._segments)

    def choose(self, contacts: pa.Table, duck: duckdb.DuckDBPyConnection, now: datetime, counts: EventCounts) -> Arms:
        """Each contact goes where the first condition that is true of it says."""
        query = first_true(self._segments, now)
        looked_at = counts.with_counts(contacts.select(["id", "properties"]), self._counts, now)
        with duck.cursor() as cursor:
            cursor.register("contacts", looked_at)
            return cast(Arms, cursor.execute(query).fetchnumpy()["arm"])

    def explain(
        self, contact: str, properties: str, duck: duckdb.DuckDBPyConnection, now: datetime, counts: EventCounts
    ) -> Why:
        """Each condition with what it was and the values that it looked at, by the segments that choose the ways."""
        looked_at = [readings(segment) for segment in self._segments]
        one = counts.with_counts(pa.table({"id": [contact], "properties": [properties]}), self._counts, now)
        query = each_value(self._segments, [each for some in looked_at for each in some], now)
        with duck.cursor() as cursor:
            cursor.register("contacts", one)
            found = list(cursor.execute(query).fetchall()[0])
        truths, values = found[: len(self._segments)], iter(found[len(self._segments) :])
        tried = [
            Tried(condition, to, truth, [_looked(each, next(values), next(values)) for each in some])
            for (condition, to), truth, some in zip(self.conditions, truths, looked_at, strict=True)
        ]
        decided = truths.index(True) if True in truths else None
        return Why(decided, self.otherwise if decided is None else tried[decided].to, tried)

    @cached_property
    def _segments(self) -> list[Segment]:
        return [compile_segment(condition, counts=True) for condition, _ in self.conditions]

    @cached_property
    def _counts(self) -> list[Counted]:
        """Each once, whatever segment asks for it."""
        return list(dict.fromkeys(each for segment in self._segments for each in segment.counts))


def _looked(reading: Reading, text: str | None, value: Any) -> Looked:
    if isinstance(value, datetime):  # times are in UTC
        value = value.replace(tzinfo=UTC).isoformat()
    if reading.raw.op == "count":
        text = str(int(value))
    return Looked(reading.path, text, _KINDS.get(reading.kind, "text"), value)
