"""What `bench api` found: for each call and each phase the time that half of the calls and 99 % of them took."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any, Self

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from caravan.bench.load import LOOK, PACE, TRIGGER, Call
from caravan.bench.measure import Spread
from caravan.bench.report import circumstances, show_circumstances

IDLE, UPLOADING, READING = "idle", "uploading", "reading"
YARDSTICK = "the same calls to the same installation, with nothing else to do"


@dataclass(frozen=True, slots=True)
class Round:
    """Once idle and once busy."""

    seconds: dict[tuple[str, str], list[float]]  # that calls took, by (phase, call); of no call, no entry
    cpu: dict[str, float]  # seconds of each role while idle
    calls: int  # while idle
    ledger: dict[str, Any]  # of the batch; it was checked

    @classmethod
    def of(
        cls, idle: list[Call], busy: list[Call], uploaded: float, cpu: dict[str, float], ledger: dict[str, Any]
    ) -> Self:
        """Sort calls into phases; `uploaded` (seconds since the epoch) ends one and begins the next."""
        seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        for call in idle:
            seconds[IDLE, call.name].append(call.seconds)
        for call in busy:
            seconds[UPLOADING if call.due < uploaded else READING, call.name].append(call.seconds)
        return cls(dict(seconds), cpu, len(idle), ledger)


@dataclass(frozen=True, slots=True)
class Latency:
    """One kind of call in one phase; spreads are over the rounds, in seconds."""

    phase: str
    call: str
    calls: int
    p50: Spread
    p99: Spread
    slowest: float


@dataclass(frozen=True, slots=True)
class Latencies:
    """The whole benchmark."""

    rows: int
    rounds: list[Round]

    def as_json(self) -> dict[str, Any]:
        """All of it. Times in seconds; a ratio is a median divided by that of the idle installation."""
        return {
            **circumstances("api", self.rows, YARDSTICK),
            "calls_per_second": PACE,
            "findings": [{**asdict(each), **self._ratios(each)} for each in self._latencies()],
            "idle_cpu_per_call": self._cpu(),
            "ledger": self.rounds[-1].ledger,
            "balances": True,
        }

    def show(self, console: Console) -> None:
        """Print it as a table."""
        show_circumstances(console, "api", self.rows, YARDSTICK)
        table = Table(title=f"{PACE:.0f} calls a second", title_justify="left", box=SIMPLE)
        for name in ("", "call", "calls", "p50 ms", "p99 ms", "slowest", "× idle"):
            table.add_column(name, justify="left" if name in ("", "call") else "right", no_wrap=True)
        for each in self._latencies():
            p50, p99 = self._ratios(each).values()
            table.add_row(
                each.phase,
                each.call,
                f"{each.calls:,}",
                _milliseconds(each.p50),
                _milliseconds(each.p99),
                f"{each.slowest * 1000:,.0f}",
                f"{p50:.2f}, {p99:.2f}",
            )
        console.print(table)
        cpu = ", ".join(f"{role} {seconds * 1000:.2f} ms" for role, seconds in sorted(self._cpu().items()))
        console.print(f"CPU of a call, idle: {cpu}; the ledger balances")

    def _latencies(self) -> list[Latency]:
        every = [self._latency(phase, call) for phase in (IDLE, UPLOADING, READING) for call in (TRIGGER, LOOK)]
        return [each for each in every if each is not None]

    def _latency(self, phase: str, call: str) -> Latency | None:
        found = [each.seconds[phase, call] for each in self.rounds if (phase, call) in each.seconds]
        if not found:  # so small a file was read between two calls
            return None
        return Latency(
            phase,
            call,
            sum(map(len, found)),
            Spread.of([percentile(each, 0.50) for each in found]),
            Spread.of([percentile(each, 0.99) for each in found]),
            max(map(max, found)),
        )

    def _ratios(self, busy: Latency) -> dict[str, float]:
        idle = self._latency(IDLE, busy.call)
        assert idle is not None
        return {
            "p50_ratio": busy.p50.median / idle.p50.median,
            "p99_ratio": busy.p99.median / idle.p99.median,
        }

    def _cpu(self) -> dict[str, float]:
        """Seconds of CPU that a call took while idle, by role."""
        calls = sum(each.calls for each in self.rounds)
        return {role: sum(each.cpu.get(role, 0.0) for each in self.rounds) / calls for role in self.rounds[0].cpu}


def percentile(values: list[float], share: float) -> float:
    """The smallest value that is not exceeded by at least this share of the values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _milliseconds(spread: Spread) -> str:
    low, median, high = (f"{value * 1000:.1f}" for value in (spread.low, spread.median, spread.high))
    return median if low == high else f"{median} ({low} – {high})"
