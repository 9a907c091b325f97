"""Quiet hours: what may not be sent now by the contact's clock is left out, or stands until its step's hours open.

Those that stand are released evenly over the first minutes of their opening, instead of all at its first moment. A
contact's place among them comes from its delivery key, in one of a few steps; where in its step it is released comes
from its cohort, so that many cohorts that open together do not meet.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from hashlib import blake2b
from typing import Any, Final

from caravan.clock import Clock
from caravan.delivery.decisions import SEND, Decision, Later, Skip
from caravan.delivery.envelope import Envelope
from caravan.delivery.hours import Hours, Opening
from caravan.delivery.zones import zone_of
from caravan.store.cohorts import Cohort
from caravan.store.database import Pool
from caravan.store.ledger import Outcome

_STEPS: Final = 8  # at which contacts of one cohort that stand for the same opening are released
_SHOWN: Final = 40  # characters of what a contact calls its zone
_KNOWN: Final = 4_096  # zones, as contacts call them, whose openings are kept


class QuietHours:
    """What the hours of steps mean for deliveries. The opening of each zone is computed once, until it ends."""

    def __init__(self) -> None:
        self._known = dict[tuple[Hours, str], tuple[tzinfo, Opening | None]]()

    def decision(self, hours: Hours, zone: str, key: str, cohort: int, now: datetime) -> Decision:
        """What they mean now for one delivery to a contact that calls its zone so. Blocks where a zone or a year of
        holidays is read for the first time."""
        clock, opening = self._opening(hours, zone, now)
        if opening is None:
            return Skip(Outcome.QUIET_HOURS, "the hours of its step do not open within a year")
        if opening.begins <= now:
            return SEND
        when = f"{opening.begins.astimezone(clock):%Y-%m-%d %H:%M} in {clock}{_doubt(zone)}"
        if hours.skips:
            return Skip(Outcome.QUIET_HOURS, f"outside of the hours of its step, which open next at {when}")
        return Later(opening.begins + _after(key, cohort, hours, opening), f"quiet hours until {when}")

    def _opening(self, hours: Hours, zone: str, now: datetime) -> tuple[tzinfo, Opening | None]:
        found = self._known.get((hours, zone))
        if found is None or found[1] is None or now >= found[1].ends:
            clock = hours.zone(zone)
            found = clock, hours.opening(now, clock)
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[hours, zone] = found
        return found


class QuietHoursGate:
    """Holds back what is not within the hours of its step."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._clock = clock

    async def decide(self, cohort: Cohort, channel: str, envelopes: Sequence[Envelope[Any]]) -> Sequence[Decision]:
        """See `Gate.decide`."""
        if all(each.hours is None for each in envelopes):
            return [SEND] * len(envelopes)
        return await asyncio.to_thread(_decisions, envelopes, cohort.id, self._clock.now())


def _decisions(envelopes: Sequence[Envelope[Any]], cohort: int, now: datetime) -> list[Decision]:
    quiet = QuietHours()
    return [
        SEND if each.hours is None else quiet.decision(each.hours, each.zone, each.key, cohort, now)
        for each in envelopes
    ]


def _doubt(zone: str) -> str:
    """A word on a zone that is none."""
    if zone_of(zone) is not None:
        return ""
    shown = "".join(each if each.isprintable() else " " for each in zone[:_SHOWN]).strip()
    return f" (“{shown}” is no time zone)" if shown else " (the contact names no time zone)"


def _after(key: str, cohort: int, hours: Hours, opening: Opening) -> timedelta:
    """How long after the opening a delivery is released; no later than in its middle."""
    spread = min(hours.spread, (opening.ends - opening.begins) / 2)
    step = int(_fraction(key) * _STEPS)
    return spread * ((step + _fraction(str(cohort))) / _STEPS)


def _fraction(text: str) -> float:
    """From 0 to below 1, the same at each call."""
    digest = blake2b(text.encode(), digest_size=6).digest()
    return float(int.from_bytes(digest, "big") / 2**48)
