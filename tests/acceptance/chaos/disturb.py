"""Doing what the plan says. Each case returns at once; what has to be undone later is kept in `due`."""

import math
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.acceptance.chaos.plan import Disturbance, Kind
from tests.acceptance.chaos.sinks import Door, Sinks
from tests.acceptance.chaos.store import Store
from tests.acceptance.chaos.system import System, send

Ask = Callable[[Disturbance], bool]  # pause or cancel the batch of its choice, if there is one
Back = Callable[[], object]  # makes undone what was done


class Disturber:
    """Disturbs a system, and counts how often it did. `store` is its store of files if that is an S3."""

    def __init__(self, system: System, sinks: Sinks, store: Store | None, ask: Ask) -> None:
        self._system, self._sinks, self._store, self._ask = system, sinks, store, ask
        self.done: Counter[Kind] = Counter()
        self.last = time.monotonic()
        self._due: list[tuple[float, Back]] = []
        self._away: set[object] = set()
        self._frozen: Counter[int] = Counter()  # workers that stand still now
        self._thawed = -math.inf  # when the last one went on

    def do(self, disturbance: Disturbance) -> bool:
        """Let it happen; nothing happens, and it is False, if there is nobody to whom it could."""
        if not self._happens(disturbance):
            return False
        self.done[disturbance.kind] += 1
        self.last = time.monotonic()
        return True

    def keep(self) -> None:
        """Bring back what has been away for long enough."""
        now = time.monotonic()
        over = [each for each in self._due if each[0] <= now]
        self._due = [each for each in self._due if each[0] > now]
        for _, bring_back in over:
            bring_back()
            self.last = now
        self._system.keep()

    def stood_still(self, since: float) -> bool:
        """Whether a worker stood still at any time since then: what it had begun to send arrives when it goes on."""
        return bool(self._frozen) or self._thawed >= since

    def somebody_can_work(self) -> bool:
        """Whether PostgreSQL and a worker are there."""
        return self._system.postgres_lives() and bool(set(self._system.workers()) - set(self._frozen))

    def end(self) -> None:
        """Bring back everything."""
        for _, bring_back in self._due:
            bring_back()
        self._due = []
        self._system.leave(0)

    def _happens(self, one: Disturbance) -> bool:
        system = self._system
        match one.kind:
            case Kind.KILL_WORKER:
                return self._kill(_one(system.workers(), one.choice), one.seconds)
            case Kind.KILL_API:
                return self._kill(system.api(), min(one.seconds, 2))
            case Kind.KILL_POSTGRES:
                return self._kill(system.postmaster(), one.seconds)
            case Kind.RESTART_POSTGRES:
                return self._kill(system.postmaster(), one.seconds, signal.SIGQUIT)
            case Kind.KILL_EVERYTHING:
                return self._kill(system.everything(), one.seconds)
            case Kind.FREEZE_WORKER:
                return self._freeze(_one(system.workers(), one.choice), one.seconds)
            case Kind.CUT_SMTP:
                return self._cut(self._sinks.mails, one.seconds)
            case Kind.CUT_HTTP:
                return self._cut(self._sinks.calls, one.seconds)
            case Kind.PAUSE | Kind.CANCEL:
                return self._ask(one)
            case _:
                return self._store is not None and self._happens_to(self._store, one)

    def _happens_to(self, store: Store, one: Disturbance) -> bool:
        match one.kind:
            case Kind.CUT_STORE:
                return self._cut(store.gate, one.seconds)
            case Kind.FREEZE_STORE:
                return self._absent("frozen", store.freeze, one.seconds)
            case _:
                return self._absent("moody", partial(store.behave, **_mood(one)), one.seconds)

    def _kill(self, pids: list[int], seconds: float, number: int = signal.SIGKILL) -> bool:
        if not pids:
            return False
        self._system.leave(seconds)
        return send(pids, number) > 0

    def _freeze(self, pids: list[int], seconds: float) -> bool:
        if not send(pids, signal.SIGSTOP):
            return False
        self._frozen.update(pids)

        def thaw() -> None:
            send(pids, signal.SIGCONT)
            self._frozen -= Counter(pids)
            self._thawed = time.monotonic()

        self._later(seconds, thaw)
        return True

    def _cut(self, door: Door, seconds: float) -> bool:
        return self._absent(door, partial(self._sinks.cut, door), seconds)

    def _absent(self, what: object, go: Callable[[], Back], seconds: float) -> bool:
        """Let something be away for some time, unless it is."""
        if what in self._away:
            return False
        self._away.add(what)
        back = go()

        def return_() -> None:
            back()
            self._away.discard(what)

        self._later(seconds, return_)
        return True

    def _later(self, seconds: float, what: Back) -> None:
        self._due.append((time.monotonic() + seconds, what))


def _one(pids: list[int], choice: float) -> list[int]:
    return [pids[int(choice * len(pids))]] if pids else []


def _mood(one: Disturbance) -> dict[str, Any]:
    """How the store answers (tests/s3.py). Half of the errors now and then come after the work was done."""
    match one.kind:
        case Kind.FAIL_STORE:
            return {"errors": 1 << 30, "status": 500}
        case Kind.DISTURB_STORE:
            return {"every": 2, "status": 500, "late": one.choice < 0.5}
        case _:
            return {"pause": 0.1 + 1.4 * one.choice}
