"""The audit log as lines for other programs: NDJSON, and CSV that a spreadsheet takes for text."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta

from caravan import lists
from caravan.access.audit import Entry, Filter, all_entries
from caravan.errors import InvalidInput
from caravan.lists import Form
from caravan.store.database import Pool

_COLUMNS = ("at", "kind", "who", "name", "address", "customer", "act", "subject", "detail")


async def export(pool: Pool, customer: int | None, wanted: Filter, form: Form) -> AsyncIterator[str]:
    """The entries on a customer, or all, the newest first, as text: some lines at a time."""
    yield lists.head(form, _COLUMNS)
    async for found in all_entries(pool, customer, wanted):
        yield lists.written(form, _COLUMNS, [tuple(as_dict(each).values()) for each in found])


def as_dict(entry: Entry) -> dict[str, object]:
    """An entry as JSON has it: `who` is a user's address, a token's id or a machine's user."""
    actor = entry.actor
    return {
        "at": entry.at.astimezone(UTC).isoformat(),
        "kind": actor.kind,
        "who": actor.name,
        "name": actor.label,
        "address": actor.address,
        "customer": actor.customer,
        "act": entry.act,
        "subject": entry.subject,
        "detail": entry.detail,
    }


def read_filter(who: str | None, act: str | None, since: str | None, until: str | None) -> Filter:
    """The filter that was asked for: days or moments by ISO 8601, in UTC unless they say otherwise; the day `until` is
    wanted as a whole. Raises `InvalidInput`."""
    if "\0" in f"{who}{act}":
        raise InvalidInput("No actor and no act has a NUL in its name.")
    return Filter(who or None, act or None, _moment("from", since), _moment("to", until, whole=True))


def _moment(name: str, text: str | None, *, whole: bool = False) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        is_day = len(text) <= len("2026-01-31") and found.timetz() == time(tzinfo=UTC)
        return found + timedelta(days=1) if whole and is_day else found
    except (ValueError, OverflowError):
        raise InvalidInput(f"{name!r} is a day like 2026-11-26 or a moment like 2026-11-26T09:30Z.") from None
