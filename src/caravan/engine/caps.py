"""Frequency caps: set by owners, and what they have counted is forgotten in time."""

import re
from datetime import timedelta
from typing import Final

from caravan.delivery.cap import standing_words
from caravan.engine.engine import Engine
from caravan.errors import InvalidInput
from caravan.steps.wait import parse_duration
from caravan.store import caps, jobs
from caravan.store.caps import Cap
from caravan.store.database import Connection

MOST: Final = 100  # messages in a period
_SHORTEST, _LONGEST = timedelta(hours=1), timedelta(days=90)
_KEPT = timedelta(days=1)  # counts of a cap that has ended, should it be set again
_PIECE = 20_000  # counts that are forgotten at once
_WORDS = re.compile(r"\s*([0-9]{1,9})\s*(?:per|in|/)\s*(.{1,40}?)\s*", re.IGNORECASE | re.DOTALL)


def read_cap(text: str, *, waits: bool = False) -> Cap:
    """A cap as it is written: `3 per 7 days`. Raises `InvalidInput`."""
    found = _WORDS.fullmatch(text)
    if found is None:
        raise InvalidInput(f"{_shown(text)} is no cap; write one like 3 per 7 days.")
    return make_cap(int(found[1]), found[2], waits=waits)


def make_cap(most: int, period: str, *, waits: bool = False) -> Cap:
    """A cap of so many messages in a period like `7 days` or `1 day`. Raises `InvalidInput`."""
    words = period if period[:1].isdigit() or period[:1] == "P" else f"1 {period}"
    try:
        length = parse_duration(words)
    except ValueError:
        raise InvalidInput(f"{_shown(period)} is no period; write one like 7 days or 24 hours.") from None
    if not 1 <= most <= MOST:
        raise InvalidInput(f"A cap is from 1 to {MOST} messages; {most} is not.")
    if not _SHORTEST <= length <= _LONGEST:
        raise InvalidInput(f"The period of a cap is from one hour to {_LONGEST.days} days; {_shown(period)} is not.")
    return Cap(most, length, waits)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")


async def set_cap(engine: Engine, connection: Connection, customer: int, channel: str, cap: Cap | None) -> None:
    """Set how many messages a recipient of a customer gets on a channel; None ends the cap. It holds within a second,
    and whoever stands for the one before is asked about anew. Raises `InvalidInput`."""
    known = sorted(each.name for each in engine.channels if each.step.reaches_people)
    if channel not in known:
        others = {each.name for each in engine.channels}
        why = "has no recipients who could get too much" if channel in others else "is no channel"
        raise InvalidInput(f"{_shown(channel)} {why}; there can be a cap on {', '.join(known)}.")
    now = engine.clock.now()
    async with connection.transaction():
        before = await caps.lock(connection, customer, channel)
        await caps.change(connection, customer, channel, cap, now)
        if before is not None and before != cap:
            await jobs.hasten(connection, await caps.wake(connection, customer, standing_words(channel, before), now))


async def forget_counts(engine: Engine) -> None:
    """Counts are kept for as long as their cap looks back."""
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        for each in await caps.with_counts(connection):
            before = now - (_KEPT if each.ended else each.period)
            while await caps.forget(connection, each.customer, each.channel, before, _PIECE) == _PIECE:
                pass
            if each.ended:
                await caps.drop_ended(connection, each.customer, each.channel)
