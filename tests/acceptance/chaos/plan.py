"""What goes wrong and when: drawn from a seed, so that a run that fails can be run again."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A disturbance."""

    KILL_WORKER = "kill -9 of a worker"
    KILL_API = "kill -9 of the API"
    KILL_POSTGRES = "kill -9 of PostgreSQL"
    RESTART_POSTGRES = "immediate stop and start of PostgreSQL"
    KILL_EVERYTHING = "kill -9 of everything"
    FREEZE_WORKER = "a worker stands still, then goes on"
    CUT_SMTP = "the mail relay is away"
    CUT_HTTP = "the webhook's host is away"
    PAUSE = "pause and resume"
    CANCEL = "a batch is cancelled"
    CUT_STORE = "the store is away"
    FAIL_STORE = "the store answers 500 to everything"
    DISTURB_STORE = "the store answers 500 now and then"
    SLOW_STORE = "the store is slow"
    FREEZE_STORE = "the store stands still, then goes on"


KILLS = frozenset({Kind.KILL_WORKER, Kind.KILL_API, Kind.KILL_POSTGRES, Kind.KILL_EVERYTHING})

#: How often each happens, relative to the others.
WEIGHTS: dict[Kind, float] = {
    Kind.KILL_WORKER: 10,
    Kind.KILL_API: 6,
    Kind.KILL_POSTGRES: 2,
    Kind.RESTART_POSTGRES: 2,
    Kind.KILL_EVERYTHING: 1,
    Kind.FREEZE_WORKER: 2,
    Kind.CUT_SMTP: 2,
    Kind.CUT_HTTP: 2,
    Kind.PAUSE: 3,
    Kind.CANCEL: 0.5,
}
#: The same, of what can happen to a store that speaks S3.
STORE_WEIGHTS: dict[Kind, float] = {
    Kind.CUT_STORE: 3,
    Kind.FAIL_STORE: 2,
    Kind.DISTURB_STORE: 2,
    Kind.SLOW_STORE: 2,
    Kind.FREEZE_STORE: 1,
}


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One thing that goes wrong, `at` seconds after the start, for some `seconds`."""

    at: float
    kind: Kind
    seconds: float
    choice: float  # 0 to 1: which worker or batch, of those that are there; or how badly


def plan(seed: int, minutes: float, every: float, *, s3: bool) -> Iterator[Disturbance]:
    """Disturbances for so many minutes, `every` so many seconds on average; also of the store if it is an S3.
    The same arguments give the same plan."""
    drawn, at = random.Random(seed), 0.0
    weighted = WEIGHTS | STORE_WEIGHTS if s3 else WEIGHTS
    kinds, weights = list(weighted), list(weighted.values())
    while True:
        at += drawn.uniform(0.2, 1.8) * every
        (kind,) = drawn.choices(kinds, weights)
        seconds, choice = _duration(drawn, kind), drawn.random()
        if at > minutes * 60:
            return
        yield Disturbance(at, kind, seconds, choice)


def _duration(drawn: random.Random, kind: Kind) -> float:
    """How long it lasts: mostly moments, now and then longer than everybody's patience."""
    if kind in (Kind.FREEZE_WORKER, Kind.FREEZE_STORE) and drawn.random() < 0.3:
        return drawn.uniform(21, 26)  # longer than a worker may be silent, and than anybody waits for the store
    return drawn.uniform(5, 12) if drawn.random() < 0.2 else drawn.uniform(0.1, 3)
