"""How fast a channel, a relay or a provider may have mails: a rate a second and a number a day, for all workers.

Each delivery has a slot of its own (virtual scheduling, ITU-T I.371 Annex A): a sender is granted the next slots before
it takes a window, and sends each message in its slot. So a rate is one of each second, not a burst of each hour, and a
sender that dies has used up no more than it was granted. Where the slots of the next second are given out, the rest of
its cohort stands, and the sender is free for other work. Nothing is dropped.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from caravan.store.paces import Kind, Limits, Pace

SLICE = 1.0  # seconds of slots that a sender is granted at once, and that may be given out ahead
CATCH_UP = 0.4  # seconds of slots that passed unused and may still be used: 4 % of what any ten seconds may have
_LONGEST = 30.0  # seconds that a cohort stands before it asks again
_LOWEST_RATE = 1e-6
_CLOSEST = 0.9  # of the spacing that late deliveries have at least
_BY_THE_HOUR = 0.01  # deliveries a second; lower rates are told by the hour


@dataclass(frozen=True, slots=True)
class Grant:
    """Slots for so many deliveries: the first is `begins` seconds after the answer, the others follow."""

    count: int
    begins: float = 0.0
    spacing: float = 0.0  # seconds between two slots
    at_once: int | None = None  # under way at one time, where that is bounded
    reason: str | None = None  # of what makes it slow
    probes: bool = False  # whether a breaker can close is tried with it

    @property
    def lasts(self) -> float:
        """Seconds from the first slot to the last one."""
        return (self.count - 1) * self.spacing

    def at(self, moment: float) -> "Slots":
        """The slots by a clock that shows `moment` (seconds) now."""
        return Slots(moment + self.begins, self.spacing)


@dataclass(slots=True)
class Slots:
    """When each delivery of a window may leave, in monotonic seconds."""

    first: float
    spacing: float
    _next: float = 0.0  # before which none may leave, whatever its slot is

    def of(self, index: int) -> float:
        """The slot of the delivery at this place in the window."""
        return self.first + index * self.spacing

    def after(self, moment: float) -> float:
        """When a delivery that is ready at this moment, in its slot or after it, may leave: those that are late, since
        the machine stood still, leave hardly faster than the others, and not in a burst."""
        leaves = max(moment, self._next)
        self._next = leaves + _CLOSEST * self.spacing
        return leaves


@dataclass(frozen=True, slots=True)
class Refusal:
    """No slot for now. After so many seconds there is one again."""

    after: float
    reason: str
    rate: float | None = None  # deliveries a second, if it is the rate that refuses
    provider: str | None = None  # only what goes there is refused
    spread: float = 10.0  # seconds over which those who were refused come again, where no rate tells


def share(bound: Sequence[Pace], wanted: int, now: datetime) -> tuple[Grant | Refusal, list[Pace]]:
    """What the paces that bind a channel let through of so many deliveries, and what is used of them then."""
    today = now.astimezone(UTC).date()
    paced = [pace if pace.day == today else replace(pace, day=today, sent=0) for pace in bound]
    for pace in paced:
        most = most_on(pace.limits, today)
        if most is not None and pace.sent >= most:
            midnight = datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC)
            to = "to" if pace.provider is not None else "by"
            reason = f"today's {most:,} deliveries {to} {pace.name} are made; the next day begins at 00:00 UTC"
            return Refusal((midnight - now).total_seconds(), reason), []
        wanted = min(wanted, most - pace.sent) if most is not None else wanted
    timed = [pace for pace in paced if pace.limits.per_second is not None]
    rates = [pace.limits.per_second for pace in timed if pace.limits.per_second is not None]
    slowest = min(timed, key=lambda pace: pace.limits.per_second or 0.0, default=None)
    earliest = now - timedelta(seconds=CATCH_UP)
    begins = max((max(pace.next_free, earliest) for pace in paced if pace.limits.per_second), default=now)
    ahead = (begins - now).total_seconds()
    if ahead > SLICE:
        late = max(timed, key=lambda pace: pace.next_free)
        return Refusal(ahead, _why(late), late.limits.per_second, late.provider), []
    count = min([wanted, *(max(1, int(rate * SLICE)) for rate in rates)])
    used = [_used(pace, count, begins) for pace in paced]
    at_once = min((pace.connections for pace in paced if pace.connections is not None), default=None)
    why = None if slowest is None else _why(slowest)
    return Grant(count, ahead, 1 / min(rates) if rates else 0.0, at_once, why), used


def _why(pace: Pace) -> str:
    """Why what is bound by this pace has to stand."""
    speed = in_words(pace.limits.per_second or 0.0)
    if pace.kind is not Kind.SLOW or pace.until is None:
        return f"{pace.name} is paced at {speed}"
    return f"{pace.name} is slowed down to {speed} until {pace.until:%H:%M} UTC, since it answered: {pace.reason}"


def in_words(rate: float) -> str:
    """A rate, of deliveries a second, for people."""
    return f"{rate:,g} a second" if rate >= _BY_THE_HOUR else f"{rate * 3600:,.3g} an hour"


def _used(pace: Pace, count: int, begins: datetime) -> Pace:
    rate = pace.limits.per_second
    free = begins + timedelta(seconds=count / max(rate, _LOWEST_RATE)) if rate else pace.next_free
    return replace(pace, sent=pace.sent + count, next_free=free)


def most_on(limits: Limits, day: date) -> int | None:
    """How many deliveries a day may have; None for any number. A warm-up is over once it reaches the day's limit."""
    ramp = limits.ramp
    if ramp is None:
        return limits.per_day
    days = max(0, (day - ramp.begins).days)
    try:
        warm = int(ramp.first * ramp.factor**days)
    except OverflowError:
        return limits.per_day
    return warm if limits.per_day is None else min(warm, limits.per_day)


def patience(refusal: Refusal, waiting: int) -> float:
    """Seconds until a cohort asks again, if so many contacts wait for the same slots: at random within half of the time
    that they take, so that about two cohorts ask for each that can be served. A channel that is used up for the day is
    left alone until the next one begins."""
    spread = secrets.randbelow(1000) / 1000
    if refusal.rate is None:
        return refusal.after + refusal.spread * spread
    return min(_LONGEST, refusal.after - SLICE / 2 + spread * waiting / refusal.rate / 2)
