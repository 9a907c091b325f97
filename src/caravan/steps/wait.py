"""Wait: every contact of a cohort stands here for the same time, or until a moment of its own."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property
from typing import ClassVar

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import SerializerFunctionWrapHandler, field_serializer

from caravan.journeys.durations import Duration, fixed
from caravan.journeys.placeholders import Template, compile_template
from caravan.steps.columns import Moments, column, moments
from caravan.steps.moment_file import Exits, exits_of, move_on, read_standing, with_moments
from caravan.steps.moments import Rule, Solved, micros_of, solve
from caravan.steps.move import Move, Passage, Tools
from caravan.steps.step import CohortStep
from caravan.steps.wait_fields import Else, Until
from caravan.store.cohorts import Cohort, read_contacts
from caravan.store.journal import Record
from caravan.store.ledger import Outcome


def parse_duration(text: str) -> timedelta:
    """A duration of a fixed length, from 0 to 10 years. Raises ValueError with a sentence."""
    return fixed(text)


class Wait(CohortStep):
    """`wait: 3 days`, or `wait: {until: …, at: …}`; the text is kept as it was written."""

    kind: ClassVar[str] = "wait"
    sole: ClassVar[str | None] = "wait"

    wait: Until

    @field_serializer("wait", mode="wrap")
    def _as_written(self, value: Until, written: SerializerFunctionWrapHandler) -> object:
        return value.offset if value.plain else written(value)

    @property
    def duration(self) -> Duration:
        """How long contacts stand here, where that is all that is said."""
        return self.wait.duration

    @property
    def summary(self) -> str:
        return self.wait.summary

    @property
    def takes_time(self) -> bool:
        return self.wait.takes_time

    @property
    def waits(self) -> bool:
        return not self.wait.plain or self.takes_time

    @property
    def may_end(self) -> bool:
        return self.next is None or self.wait.exits

    def check(self) -> Iterator[tuple[str, str]]:
        for key, message in self.wait.problems():
            yield f"wait.{key}" if key else "wait", message

    def due(self, arrived: datetime) -> datetime:
        """When the time is over; at once where the moments are still to be found."""
        return self.duration.after(arrived) if self.wait.plain else arrived

    async def take(self, cohort: Cohort, tools: Tools) -> Move:
        """Those go on whose time is over: where it is that of all, with the same file."""
        if self.wait.plain:
            return Move(
                passages=[Passage(cohort.part, self.next)],
                outcomes={Outcome.PASSED: cohort.part.size},
                records=[Record(self.id, cohort.part.file, Outcome.PASSED)],
            )
        return await asyncio.to_thread(self._take, cohort, tools)

    def _take(self, cohort: Cohort, tools: Tools) -> Move:
        with tools.files.local(cohort.part.file) as path:
            standing = read_standing(path, cohort)
            contacts = read_contacts(path) if standing is None else None
        if contacts is None:
            assert standing is not None
            return move_on(standing, cohort, tools, self.next, self._exits, fresh=False)
        solved = self.solve(contacts, tools.duck, cohort.due_at)
        return move_on(with_moments(contacts, solved, cohort), cohort, tools, self.next, self._exits, fresh=True)

    def ends(self, contacts: pa.Table, duck: duckdb.DuckDBPyConnection, now: datetime) -> npt.NDArray[np.bool_] | None:
        """Those whose moment is past, or who have none, where the step says so."""
        return exits_of(self.solve(contacts, duck, now).fate, self._exits) if self.wait.exits else None

    @property
    def _exits(self) -> Exits:
        return Exits(self.wait.if_past is Else.EXIT, self.wait.invalid is Else.EXIT)

    def solve(self, contacts: pa.Table, duck: duckdb.DuckDBPyConnection, arrived: datetime) -> Solved:
        """The moment of each contact (of `CONTACTS`) that arrives then. Blocks."""
        until, zone, at = self._templates
        if until is None:
            size = contacts.num_rows
            base = Moments(np.full(size, micros_of(arrived), np.int64), np.ones(size, np.bool_), {})
        else:
            base = moments(column(until, contacts, duck, arrived), duck, arrived)
        clock = None if at is None else column(at, contacts, duck, arrived)
        return solve(base, column(zone, contacts, duck, arrived), clock, self._rule, arrived)

    @cached_property
    def _templates(self) -> tuple[Template | None, Template, Template | None]:
        until, at = self.wait.until, self.wait.at
        return (
            None if until is None else compile_template(until),
            compile_template(self.wait.timezone),
            None if at is None else compile_template(at),
        )

    @cached_property
    def _rule(self) -> Rule:
        return self.wait.rule
