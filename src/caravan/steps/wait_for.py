"""Wait for an event: the first that happens decides where a contact goes, or the time that is over."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar

import duckdb
from pydantic import AfterValidator, BeforeValidator, Field

from caravan.events.happening import Happening
from caravan.events.meant import Rules, first_met, with_segments
from caravan.journeys.durations import fixed, read_duration
from caravan.journeys.event_rules import EventName, EventRule, PropertyName
from caravan.journeys.event_segments import EventCondition
from caravan.steps.move import Move, Passage, Tools
from caravan.steps.properties import merged
from caravan.steps.sort import END
from caravan.steps.step import CohortStep, Stay
from caravan.steps.wait_fields import Timeout
from caravan.store.cohorts import Cohort
from caravan.store.journal import Record
from caravan.store.ledger import Outcome

_MOST = 20  # events that one step waits for
_STEP, _JOURNEY = "step", "journey"


def _saved(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return {each: each for each in value}
    return value


def _moment(value: str) -> str:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"'{value}' is no moment with date, time and zone, like 2026-12-24T18:00:00+01:00")
    return value


def _since(value: str) -> str:
    if value not in (_STEP, _JOURNEY):
        try:
            fixed(value)
        except ValueError:
            raise ValueError(f"'{value}' is none of step, journey, or a duration like 10 minutes") from None
    return value


Saved = Annotated[dict[PropertyName, PropertyName], BeforeValidator(_saved)]


class Awaited(EventRule):
    """`{event: purchase, if: total > 100, match: order_id, save: [total], to: thanks}`: an event that is waited for.
    `save`: {property of the contact: property of the event}."""

    save: Saved = Field(default_factory=dict)
    to: str | None = None


class WaitFor(CohortStep):
    """`wait_for: {any: [{event: …, to: …}], timeout: 2 days, to: …}`, or `{event: …, timeout: …, then: …, else: …}`."""

    kind: ClassVar[str] = "wait_for"
    leads: ClassVar[tuple[str, ...]] = ("any", "to", "then", "else")

    branches: tuple[Awaited, ...] = Field((), alias="any")
    event: EventName | None = None
    condition: EventCondition | None = Field(None, alias="if")
    match: PropertyName | None = None
    save: Saved = Field(default_factory=dict)
    timeout: Timeout | None = None
    until: Annotated[str, AfterValidator(_moment)] | None = None
    to: str | None = None
    then: str | None = None
    otherwise: str | None = Field(None, alias="else")
    since: Annotated[str, AfterValidator(_since)] = _STEP

    @cached_property
    def awaited(self) -> tuple[Awaited, ...]:
        """The events, in the order in which they are tried."""
        if self.event is None:
            return self.branches
        own = {"event": self.event, "condition": self.condition, "match": self.match, "save": self.save}
        return (Awaited(**own, to=self.then),)  # type: ignore[arg-type]

    @property
    def ways(self) -> list[str | None]:
        """Where each of the events leads, and last where those go for whom the time is over; None ends the journey."""
        late = self.otherwise if self.event is not None else self.to
        return [*(each.to or self.next for each in self.awaited), late or self.next]

    @property
    def listens(self) -> frozenset[str]:
        return frozenset(each.event for each in self.awaited)

    def targets(self) -> list[tuple[str, str]]:
        places = [(f"wait_for.any[{index}].to", each.to) for index, each in enumerate(self.branches)]
        places += [("wait_for.then", self.then), ("wait_for.else", self.otherwise), ("wait_for.to", self.to)]
        return [(where, to) for where, to in places if to is not None] + super().targets()

    def captions(self) -> list[str]:
        own = [each.event for each in self.branches if each.to is not None]
        own += [str(self.event)] * (self.then is not None)
        late = [self.otherwise, self.to]
        return own + ["time over"] * sum(each is not None for each in late) + ["else" for _ in super().targets()]

    @property
    def may_end(self) -> bool:
        return None in self.ways

    @property
    def summary(self) -> str:
        names = " or ".join(dict.fromkeys(each.event for each in self.awaited))
        return f"{names}, until {self.until}" if self.until else f"{names}, {self.timeout} at most"

    @property
    def takes_time(self) -> bool:
        return True

    @property
    def makes(self) -> frozenset[str]:
        return frozenset(name for each in self.awaited for name in each.save)

    def check(self) -> Iterator[tuple[str, str]]:
        if (self.event is None) == (not self.branches):
            yield "wait_for", "it waits for one event, with the key event, or for the first of several, below any"
        elif self.event is None:
            beside = {"if": self.condition, "match": self.match, "save": self.save, "then": self.then}
            for key in [key for key, value in beside.items() if value]:
                yield f"wait_for.{key}", f"'{key}' stands with each event below any, or beside a single event"
            if self.otherwise is not None:
                yield "wait_for.else", "with any, 'to' says where those go for whom the time is over"
            for index in [index for index, each in enumerate(self.branches) if each.to is None]:
                yield f"wait_for.any[{index}]", "'to' is missing: the step to which this event leads"
        elif self.to is not None:
            yield "wait_for.to", "with a single event, 'then' and 'else' say where contacts go"
        if len(self.branches) > _MOST:
            yield "wait_for.any", f"a step waits for {_MOST} events at most"
        if (self.timeout is None) == (self.until is None):
            yield "wait_for", "it ends after a timeout, like 2 days, or at a moment, with the key until: one of both"
        if self.next is not None and self.next not in self._by_default:
            yield "next", "all ways have a step of their own, so next is never used"

    @property
    def _by_default(self) -> list[str | None]:
        own = [each.to for each in self.awaited] + [self.otherwise if self.event is not None else self.to]
        return [self.next for each in own if each is None]

    def due(self, arrived: datetime) -> datetime:
        """When the time is over."""
        if self.until is not None:
            return max(arrived, datetime.fromisoformat(self.until).astimezone(UTC))
        assert self.timeout is not None
        return read_duration(self.timeout).after(arrived)

    def counts_from(self, arrived: datetime, before: datetime | None, entered: datetime | None) -> datetime:
        """From when on an event counts, for contacts that arrive now, came to the step before at `before`, and entered
        the journey at `entered`."""
        if self.since == _JOURNEY:
            return entered or before or arrived
        return before or arrived if self.since == _STEP else arrived - fixed(self.since)

    def led_on(
        self, happenings: Sequence[Happening], stays: Sequence[Stay], duck: duckdb.DuckDBPyConnection, now: datetime
    ) -> list[int | None]:
        return first_met(self._rules, happenings, [each.properties for each in stays], duck, now)

    def way_of(self, index: int) -> tuple[str, str | None]:
        return self.awaited[index].event, self.ways[index]

    def learnt(self, index: int, happening: Happening, properties: str) -> str:
        saved = self.awaited[index].save.items()
        kept = {own: happening.properties[name] for own, name in saved if name in happening.properties}
        return merged(properties, kept) if kept else properties

    @cached_property
    def _rules(self) -> Rules:
        return with_segments(self.awaited)

    async def take(self, cohort: Cohort, tools: Tools) -> Move:
        """The time is over for all who still stand."""
        part, late = cohort.part, self.ways[-1]
        return Move(
            passages=[Passage(part, late)],
            outcomes={Outcome.PASSED: part.size},
            records=[Record(self.id, part.file, Outcome.PASSED, f"time over: {late or END}")],
        )
