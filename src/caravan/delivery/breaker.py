"""When a breaker opens, who may try whether it can close, and how it closes: as values, without a database.

One opens when several windows in a row reached nobody, or when replies say so often enough within an hour
(`delivery/signal.py`). Once its time is over, one sender tries it with one mail over one connection. Each window
that is taken then adds a connection, and at `FULL` of them it is closed. If nobody is reached, it is open again, for
twice as long.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from caravan.delivery.signal import Signal
from caravan.store.breakers import Breaker, State

OPENS_AFTER = 3  # windows in a row in which nobody was reached
FULL = 10  # connections with which it is closed
_EACH = 5  # mails a connection in a window that tries it, from the second one on
_FIRST, _LONGEST = 5.0, 300.0  # seconds until it is tried
_HOLD = 120.0  # seconds for which a sender that fell silent is waited for
_LOOK = 2.0  # seconds until others look again while one tries it
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A sender may send so many, over so many connections."""

    count: int
    connections: int


@dataclass(frozen=True, slots=True)
class Barred:
    """It may not, for so many seconds."""

    after: float
    reason: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What a window learnt of a relay, or of a provider by it."""

    reached: int = 0  # mails that were answered, in whatever way
    unreachable: int = 0  # that could not be offered
    reason: str = ""  # of one of these
    stops: Sequence[tuple[Signal, int]] = ()  # signals to stop it, and how often each came
    slows: Sequence[tuple[Signal, int]] = ()  # signals to slow it down


def enter(breaker: Breaker, holder: str, now: datetime) -> tuple[Entry | Barred | None, Breaker]:
    """Whether this sender may send; None for as much as it can. With the breaker as it is then."""
    if breaker.state is State.CLOSED:
        return None, breaker
    if breaker.state is State.OPEN:
        assert breaker.probe_at is not None
        if now < breaker.probe_at:
            after = (breaker.probe_at - now).total_seconds()
            return Barred(after, f"{breaker.name} is stopped: {breaker.reason}"), breaker
        tried = replace(breaker, state=State.HALF_OPEN, connections=1, changed_at=now)
        return Entry(1, 1), _held(tried, holder, now)
    free = breaker.holder in (None, holder) or breaker.held_until is None or breaker.held_until <= now
    if not free:
        each = "1 connection" if breaker.connections == 1 else f"{breaker.connections} connections"
        return Barred(_LOOK, f"{breaker.name} is tried again with {each}"), breaker
    count = 1 if breaker.connections == 1 else _EACH * breaker.connections
    return Entry(count, breaker.connections), _held(breaker, holder, now)


def learn(breaker: Breaker, tally: Tally, holder: str, now: datetime) -> Breaker:
    """The breaker after a window of this sender."""
    if breaker.state is State.HALF_OPEN and breaker.holder == holder and tally.stops:
        signal, _ = tally.stops[0]  # that it answered is no reason to go on: it says that it takes nothing
        return _opened(replace(breaker, tries=breaker.tries + 1), signal.reason, signal.seconds, now)
    for signal, count in tally.stops:
        breaker, hits = counted(breaker, signal, count, now)
        if hits >= signal.after:
            return _opened(breaker, signal.reason, signal.seconds, now)
    if breaker.state is State.HALF_OPEN:
        return _tried(breaker, tally, now) if breaker.holder == holder else breaker
    if breaker.state is State.OPEN:
        return breaker
    if tally.reached or not tally.unreachable:
        return replace(breaker, failures=0) if tally.reached else breaker
    failing = replace(breaker, failures=breaker.failures + 1)
    return _opened(failing, tally.reason, _FIRST, now) if failing.failures >= OPENS_AFTER else failing


def counted(breaker: Breaker, signal: Signal, count: int, now: datetime) -> tuple[Breaker, int]:
    """The breaker that knows of so many more of these replies, and how many came within an hour."""
    moment = now.timestamp()
    since, before = breaker.hits.get(signal.name, (moment, 0))
    if moment - since >= _HOUR:
        since, before = moment, 0
    hits = {name: each for name, each in breaker.hits.items() if moment - each[0] < _HOUR}
    return replace(breaker, hits={**hits, signal.name: (since, before + count)}), before + count


def _tried(breaker: Breaker, tally: Tally, now: datetime) -> Breaker:
    if tally.unreachable and not tally.reached:
        return _opened(replace(breaker, tries=breaker.tries + 1), tally.reason, _FIRST, now)
    if not tally.reached:  # nothing was left to be sent: others may try it
        return _free(breaker)
    if breaker.connections >= FULL:
        return replace(_closed(breaker), changed_at=now)
    return _free(replace(breaker, connections=breaker.connections + 1, tries=0))


def _free(breaker: Breaker) -> Breaker:
    """Any sender may go on with it."""
    return replace(breaker, holder=None, held_until=None)


def _closed(breaker: Breaker) -> Breaker:
    return Breaker(breaker.channel, breaker.relay, breaker.provider, breaker.changed_at)


def _opened(breaker: Breaker, reason: str, seconds: float, now: datetime) -> Breaker:
    wait = min(seconds * 2.0 ** min(breaker.tries, 16), max(seconds, _LONGEST))
    return replace(
        _closed(breaker),
        state=State.OPEN,
        reason=reason,
        changed_at=now,
        probe_at=now + timedelta(seconds=wait),
        tries=breaker.tries,
    )


def _held(breaker: Breaker, holder: str, now: datetime) -> Breaker:
    return replace(breaker, holder=holder, held_until=now + timedelta(seconds=_HOLD))
