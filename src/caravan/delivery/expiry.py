"""When messages expire: from then on nothing of them is sent any more, however late a worker comes to them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator

from caravan.steps.wait import parse_duration
from caravan.store.cohorts import Cohort

_LONGEST: Final = 40  # characters of a moment
_EXAMPLES: Final = "a moment like 2026-12-01T00:00:00Z or a duration like 2 days"


def parse_expiry(text: str) -> datetime | timedelta:
    """A moment with its offset from UTC (ISO 8601), or a duration of more than nothing. Raises ValueError with a
    sentence."""
    wanted = text.strip()
    try:
        found = datetime.fromisoformat(wanted[:_LONGEST])
    except ValueError:
        return _duration(wanted)
    if len(wanted) < len("2026-12-01T00:00Z") or found.tzinfo is None:
        raise ValueError(f"'{wanted[:_LONGEST]}' does not say which clock; write a moment like 2026-12-01T00:00:00Z")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"'{wanted[:_LONGEST]}' is no time that can come; write {_EXAMPLES}") from None


def _duration(text: str) -> timedelta:
    try:
        found = parse_duration(text)
    except ValueError:
        raise ValueError(f"'{text[:_LONGEST]}' is no time; write {_EXAMPLES}") from None
    if not found:
        raise ValueError("a duration of nothing would let nothing be sent; write " + _EXAMPLES)
    return found


def _written(text: str) -> str:
    parse_expiry(text)
    return text


Expiry = Annotated[str, AfterValidator(_written)]


def expiry_of(cohort: Cohort, step: str | None) -> datetime | None:
    """From when on nothing is sent to a cohort at a step of this `expires`: what its batch says or what the step says,
    whichever comes first. A duration counts from the start of the batch; of a single start, from when it entered."""
    ends = [] if cohort.sends_until is None else [cohort.sends_until]
    if step is not None:
        found = parse_expiry(step)
        since = cohort.entered_at or cohort.batch_started_at or cohort.batch_created_at
        ends.append(found if isinstance(found, datetime) else since + found)
    return min(ends, default=None)
