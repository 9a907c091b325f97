"""Frequency caps: a recipient gets no more messages on a channel than its customer allows.

What counts is what was sent, or may have been. Two senders must not both take the last place, so a window's messages
are counted before they go out, by one sender at a time, and those that turn out not to have gone are taken back in the
transaction that settles the window. If a sender dies in between, what it counted stands until whoever takes over knows
what was sent: the cap may hold back one message too many for these seconds, and never lets one too many go.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

from caravan.clock import Clock
from caravan.delivery.decisions import SEND, Decision, Later, Skip
from caravan.delivery.envelope import Envelope
from caravan.delivery.key import line_of
from caravan.delivery.suppression import comparable
from caravan.store import caps
from caravan.store.caps import Cap, Counted
from caravan.store.cohorts import Cohort
from caravan.store.customers import shared_secret
from caravan.store.database import Pool
from caravan.store.ledger import Outcome

_REFRESH: Final = 1.0  # seconds until a cap that is new is noticed
_UNITS: Final = (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def cap_words(cap: Cap) -> str:
    """Like `3 per 7 days`."""
    return f"{cap.most} per {period_words(cap.period)}"


def period_words(period: timedelta) -> str:
    """Like `7 days`, in one unit; weeks are days."""
    seconds = int(period.total_seconds())
    unit, length = next((unit, length) for unit, length in _UNITS[1:] if seconds % length == 0)
    count = seconds // length
    return f"{count} {unit}{'' if count == 1 else 's'}"


def standing_words(channel: str, cap: Cap) -> str:
    """What a contact stands for that has to wait for a cap; those who do are found by it."""
    return f"the recipient has had as many messages by {channel} as the cap allows: {cap_words(cap)}"


class CapGate:
    """Holds back what its recipient would get over the customer's cap. It is asked last, as it counts what it lets
    through. One query a window reads the counts, and one writes them."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock
        self._bound = set[tuple[int, str]]()
        self._looked, self._looking = -_REFRESH, asyncio.Lock()
        self._secret: bytes | None = None

    async def decide(self, cohort: Cohort, channel: str, envelopes: Sequence[Envelope[Any]]) -> Sequence[Decision]:
        """See `Gate.decide`."""
        decisions: list[Decision] = [SEND] * len(envelopes)
        places = [place for place, each in enumerate(envelopes) if not each.transactional]
        if places and await self._is_bound(cohort.customer, channel):
            sends = await self._sends(channel, [envelopes[place] for place in places])
            for place, decision in zip(places, await self._count(cohort, channel, sends), strict=True):
                decisions[place] = decision
        return decisions

    async def _count(self, cohort: Cohort, channel: str, sends: Sequence[Counted]) -> list[Decision]:
        assert cohort.claim is not None
        async with self._pool.connection() as connection, connection.transaction():
            cap = await caps.lock(connection, cohort.customer, channel)
            if cap is None:
                return [SEND] * len(sends)
            now = self._clock.now()
            recipients = list(dict.fromkeys(each.recipient for each in sends))
            known = await caps.counted(connection, cohort.customer, channel, recipients, now - cap.period)
            decisions, new = share_places(cap, channel, sends, known, now)
            if new and not await caps.count(
                connection, cohort.id, cohort.claim, cohort.customer, channel, new, now
            ):  # another worker has the cohort, so nothing of this may go out
                return [Later(now, "another worker sends this") for _ in sends]
        return decisions

    async def _sends(self, channel: str, envelopes: Sequence[Envelope[Any]]) -> list[Counted]:
        if self._secret is None:
            async with self._pool.connection() as connection:
                self._secret = (await shared_secret(connection, "recipients")).encode()
        return [
            Counted(
                digest(self._secret, comparable(channel, each.recipient)),
                digest(self._secret, each.key),
                line_of(each.key),
            )
            for each in envelopes
        ]

    async def _is_bound(self, customer: int, channel: str) -> bool:
        async with self._looking:  # nobody goes by what was known before the look that is under way
            if time.monotonic() - self._looked >= _REFRESH:
                asked = time.monotonic()
                async with self._pool.connection() as connection:
                    self._bound = await caps.bound(connection)
                self._looked = asked
        return (customer, channel) in self._bound


def digest(secret: bytes, text: str) -> bytes:
    """What stands for a recipient or a delivery: without the secret nobody finds out whether an address is there."""
    return blake2b(text.encode("utf-8", "surrogatepass"), key=secret[:64], digest_size=16).digest()


def share_places(
    cap: Cap,
    channel: str,
    sends: Sequence[Counted],
    known: dict[bytes, list[tuple[datetime, bytes]]],
    now: datetime,
) -> tuple[list[Decision], list[Counted]]:
    """A decision for each message, where `known` counts already, and those that count from now on. Of several messages
    to one recipient the first ones go."""
    decisions, new, words = list[Decision](), list[Counted](), standing_words(channel, cap)
    for each in sends:
        counted = known.setdefault(each.recipient, [])
        if any(delivery == each.delivery for _, delivery in counted):  # an earlier attempt that may have arrived
            decisions.append(SEND)
        elif len(counted) < cap.most:
            counted.append((now, each.delivery))
            new.append(each)
            decisions.append(SEND)
        else:
            decisions.append(_over(cap, words, [at for at, _ in counted]))
    return decisions, new


def _over(cap: Cap, words: str, moments: list[datetime]) -> Decision:
    if not cap.waits:
        return Skip(Outcome.CAPPED, words)
    return Later(sorted(moments)[-cap.most] + cap.period, words)
