"""Wait: every contact of a cohort stands here for the same time."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from caravan.steps.move import Move, Passage, Tools
from caravan.steps.step import CohortStep
from caravan.store.cohorts import Cohort
from caravan.store.journal import Record
from caravan.store.ledger import Outcome

LONGEST = timedelta(days=3_653)  # ten years
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PLAIN = re.compile(
    r"([0-9]{1,12})\s*(s|sec|secs|seconds?|m|min|mins|minutes?|h|hours?|d|days?|w|weeks?)(?![a-z])\s*", re.IGNORECASE
)
# ISO 8601-1 §5.5.2, without years and months, which have no fixed length.
_ISO = re.compile(
    r"P(?=.)(?:([0-9]{1,12})W)?(?:([0-9]{1,12})D)?"
    r"(?:T(?=.)(?:([0-9]{1,12})H)?(?:([0-9]{1,12})M)?(?:([0-9]{1,12})S)?)?"
)


def parse_duration(text: str) -> timedelta:
    """`3 days`, `1 week 2 days`, `90m` or `P3DT4H`, from 0 to 10 years. Raises ValueError with a sentence."""
    seconds = _seconds(text.strip())
    if seconds is None:
        raise ValueError(f"'{text}' is no duration like 3 days, 90 minutes, 1 week 2 days or P3DT4H")
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"'{text}' is longer than ten years")
    return timedelta(seconds=seconds)


def _seconds(text: str) -> int | None:
    if iso := _ISO.fullmatch(text):
        return sum(int(count or 0) * _UNITS[unit] for count, unit in zip(iso.groups(), "wdhms", strict=True))
    parts = _PLAIN.findall(text)
    if not parts or _PLAIN.sub("", text):
        return None
    return sum(int(count) * _UNITS[unit[0].lower()] for count, unit in parts)


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        raise ValueError("`wait: {until: …}` is not supported yet; write a duration like 3 days")
    if not isinstance(value, str):
        raise ValueError("a wait is a duration like 3 days")
    parse_duration(value)
    return value


class Wait(CohortStep):
    """`wait: 3 days`; the text is kept as it was written."""

    kind: ClassVar[str] = "wait"
    sole: ClassVar[str | None] = "wait"

    wait: Annotated[str, BeforeValidator(_written)]

    @property
    def duration(self) -> timedelta:
        """How long contacts stand here."""
        return parse_duration(self.wait)

    @property
    def takes_time(self) -> bool:
        return self.duration > timedelta(0)

    def due(self, arrived: datetime) -> datetime:
        """When the time is over."""
        return arrived + self.duration

    async def take(self, cohort: Cohort, tools: Tools) -> Move:
        """The time is over: everyone goes on, with the same file."""
        return Move(
            passages=[Passage(cohort.part, self.next)],
            outcomes={Outcome.PASSED: cohort.part.size},
            records=[Record(self.id, cohort.part.file, Outcome.PASSED)],
        )
