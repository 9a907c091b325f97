"""How a benchmark measures: wall time, CPU seconds and resident memory of all processes that take part."""

import importlib
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

_PAUSE = 0.2  # seconds between two looks at the memory
_SEARCH_EVERY = 5  # looks; finding the processes costs more than all that is asked of them


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one side."""

    seconds: float
    cpu: dict[str, float]  # seconds, by what the process is: worker, serve, postgresql, other
    peak: int  # bytes resident in all processes together; what they share counts once
    facts: dict[str, float] = field(default_factory=dict)  # what else this benchmark measures, in seconds


@dataclass(frozen=True, slots=True)
class Timed:
    """What a piece of work says of itself: its seconds, without what came before and after."""

    seconds: float
    facts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of the same."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Self:
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Both sides, run in turn, so that a machine that is busy for a while is busy for both."""

    ours: list[Run]
    theirs: list[Run]
    shared: list[Run] = field(default_factory=list)  # ours with `workers` workers, if there is such a side
    workers: int = 1

    @property
    def time_ratio(self) -> Spread:
        """Our time divided by the yardstick's, run by run."""
        return Spread.of([a.seconds / b.seconds for a, b in zip(self.ours, self.theirs, strict=True)])

    @property
    def speedup(self) -> Spread:
        """One worker's time divided by that of several, run by run. There must be such a side."""
        return Spread.of([a.seconds / b.seconds for a, b in zip(self.ours, self.shared, strict=True)])


@dataclass(frozen=True, slots=True)
class Shared:
    """A side of its own: the same work, done by several workers."""

    workers: int
    run: Callable[[], Run]


def in_turn(
    repeats: int,
    ours: Callable[[], Run],
    theirs: Callable[[], Run],
    say: Callable[[str], None],
    shared: Shared | None = None,
) -> Pairs:
    """Ours, the yardstick, ours by several workers, ours, the yardstick …; `say` hears of each round."""
    pairs = Pairs([], [], workers=shared.workers if shared else 1)
    for number in range(1, repeats + 1):
        pairs.ours.append(ours())
        pairs.theirs.append(theirs())
        mine, other = pairs.ours[-1].seconds, pairs.theirs[-1].seconds
        words = f"caravan {mine:.2f} s, yardstick {other:.2f} s"
        if shared:
            pairs.shared.append(shared.run())
            words += f", {shared.workers} workers {pairs.shared[-1].seconds:.2f} s"
        say(f"  run {number} of {repeats}: {words}")
    return pairs


def in_child(work: Callable[..., Timed], *arguments: object, near: Path | None = None) -> Run:
    """Run `work` in a fresh process that has imported everything before, and measure it.

    Processes whose command line names the folder `near` (its PostgreSQL) belong to it.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
        pid = child.submit(_import, work.__module__).result()
        with Meter(pid, near=near) as meter:
            timed = child.submit(work, *arguments).result()
        return meter.run(timed)


def _import(module: str) -> int:
    """Import a module; the number of this process."""
    importlib.import_module(module)
    return os.getpid()


class Meter:
    """CPU and memory of processes, their descendants and those of a folder, from `with` to its end."""

    def __init__(self, *pids: int, near: Path | None = None) -> None:
        self._pids, self._near = pids, near
        self._before: dict[psutil.Process, float] = {}
        self._cpu: dict[psutil.Process, float] = {}
        self._roles: dict[psutil.Process, str] = {}
        self._family: list[psutil.Process] = []
        self._peak = 0
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._search()
        self._look()
        self._before = dict(self._cpu)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watcher.join()
        self._search()
        self._look()

    def run(self, timed: Timed) -> Run:
        """What was measured, with the time that the work itself took."""
        cpu: dict[str, float] = {}
        for role, seconds in self._used():
            cpu[role] = cpu.get(role, 0.0) + seconds
        return Run(timed.seconds, cpu, self._peak, timed.facts)

    def each(self, role: str) -> list[float]:
        """The CPU seconds of each process that is this, the busiest first."""
        return sorted((seconds for found, seconds in self._used() if found == role), reverse=True)

    def _used(self) -> Iterator[tuple[str, float]]:
        for process, seconds in self._cpu.items():
            yield self._roles[process], seconds - self._before.get(process, 0.0)

    def _watch(self) -> None:
        looks = 0
        while not self._over.wait(_PAUSE):
            looks += 1
            if looks % _SEARCH_EVERY == 0:
                self._search()
            self._look()

    def _search(self) -> None:
        self._family = family(*self._pids, near=self._near)

    def _look(self) -> None:
        resident = 0
        for process in self._family:
            with suppress(psutil.Error):
                if process not in self._roles:  # first, since a process may end between two of these calls
                    self._roles[process] = _role(process)
                times = process.cpu_times()
                self._cpu[process] = times.user + times.system
                resident += _resident(process)
        self._peak = max(self._peak, resident)


def family(*pids: int, near: Path | None = None) -> list[psutil.Process]:
    """Processes, their descendants, and all (with theirs) whose command line names the folder."""
    roots = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    if near is not None:
        roots += _of_folder(str(near))
    found: dict[psutil.Process, None] = {}
    for root in roots:
        with suppress(psutil.Error):
            found |= dict.fromkeys([root, *root.children(recursive=True)])
    return list(found)


def _of_folder(folder: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(folder in word for word in process.cmdline()):
                found.append(process)
    return found


def _role(process: psutil.Process) -> str:
    words = process.cmdline()
    if "postgres" in process.name():
        return "postgresql"
    return next((word for word in words if word in ("worker", "serve")), "other")


def _resident(process: psutil.Process) -> int:
    """Bytes; what several processes share is divided among them (PSS), where the system tells."""
    with suppress(psutil.AccessDenied, AttributeError):
        return int(process.memory_full_info().pss)
    return int(process.memory_info().rss)


def now() -> float:
    """Seconds, for differences."""
    return time.perf_counter()
