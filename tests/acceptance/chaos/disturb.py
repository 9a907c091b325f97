"""Doing what the plan says. Each case returns at once; what has to be undone later is kept in `due`."""

import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from tests.acceptance.chaos.plan import Disturbance, Kind
from tests.acceptance.chaos.sinks import Place, Sinks
from tests.acceptance.chaos.system import System, send

Ask = Callable[[float, float], bool]  # pause the batch of this choice for so many seconds, if there is one


class Disturber:
    """Disturbs a system, and counts how often it did."""

    def __init__(self, system: System, sinks: Sinks, ask_pause: Ask) -> None:
        self._system, self._sinks, self._ask_pause = system, sinks, ask_pause
        self.done: Counter[Kind] = Counter()
        self.last = time.monotonic()
        self._due: list[tuple[float, Callable[[], object]]] = []
        self._away: set[Place] = set()

    def do(self, disturbance: Disturbance) -> None:
        """Let it happen; nothing happens if there is nobody to whom it could."""
        if self._happens(disturbance):
            self.done[disturbance.kind] += 1
            self.last = time.monotonic()

    def keep(self) -> None:
        """Bring back what has been away for long enough."""
        now = time.monotonic()
        over = [each for each in self._due if each[0] <= now]
        self._due = [each for each in self._due if each[0] > now]
        for _, bring_back in over:
            bring_back()
            self.last = now
        self._system.keep()

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
            case Kind.PAUSE:
                return self._ask_pause(one.choice, one.seconds)

    def _kill(self, pids: list[int], seconds: float, number: int = signal.SIGKILL) -> bool:
        if not pids:
            return False
        self._system.leave(seconds)
        return send(pids, number) > 0

    def _freeze(self, pids: list[int], seconds: float) -> bool:
        if not send(pids, signal.SIGSTOP):
            return False
        self._later(seconds, partial(send, pids, signal.SIGCONT))
        return True

    def _cut(self, place: Place, seconds: float) -> bool:
        if place in self._away:
            return False
        self._away.add(place)
        back = self._sinks.cut(place)

        def return_() -> None:
            back()
            self._away.discard(place)

        self._later(seconds, return_)
        return True

    def _later(self, seconds: float, what: Callable[[], object]) -> None:
        self._due.append((time.monotonic() + seconds, what))


def _one(pids: list[int], choice: float) -> list[int]:
    return [pids[int(choice * len(pids))]] if pids else []
