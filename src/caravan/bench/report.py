"""What a benchmark found: as a table for people, as one JSON object for programs."""

import os
import platform
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import psutil
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

import caravan
from caravan.bench.measure import Pairs, Run, Spread

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One input, both sides."""

    variant: str
    contacts: int  # that both sides handled; for `intake`, lines
    bytes: int  # of the file of contacts; for `email`, of one mail
    pairs: Pairs
    ledger: dict[str, Any]  # of the last run; it was checked after each


@dataclass(frozen=True, slots=True)
class Report:
    """A whole benchmark."""

    bench: str
    rows: int
    yardstick: str  # what the other side is
    findings: list[Finding]
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """All of it. Times in seconds, sizes in bytes; `time_ratio` is our time divided by the yardstick's."""
        return {
            **circumstances(self.bench, self.rows, self.yardstick),
            "notes": self.notes,
            "findings": [_finding(each) for each in self.findings],
        }

    def show(self, console: Console) -> None:
        """Print it as a table."""
        show_circumstances(console, self.bench, self.rows, self.yardstick)
        for finding in self.findings:
            console.print(_table(finding))
            console.print(_verdict(finding))
        for note in self.notes:
            console.print(f"- {note}", highlight=False)


def circumstances(bench: str, rows: int, yardstick: str) -> dict[str, Any]:
    """What every benchmark tells about itself, for programs."""
    return {
        "bench": bench,
        "rows": rows,
        "version": caravan.__version__,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "yardstick": yardstick,
    }


def show_circumstances(console: Console, bench: str, rows: int, yardstick: str) -> None:
    """The same for people."""
    machine = _machine()
    console.print(f"[bold]caravan bench {bench}[/], {rows:,} rows")
    console.print(
        f"on {machine['cores']} cores ({machine['processor']}); load of the last minute {machine['load']:.1f}",
        highlight=False,
    )
    console.print(f"yardstick: {yardstick}")


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "memory": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": psutil.getloadavg()[0],  # others on the machine show in it
    }


def _finding(finding: Finding) -> dict[str, Any]:
    pairs = finding.pairs
    ours, theirs = _side(pairs.ours, finding.contacts), _side(pairs.theirs, finding.contacts)
    return {
        "variant": finding.variant,
        "contacts": finding.contacts,
        "bytes": finding.bytes,
        "caravan": ours,
        "yardstick": theirs,
        **_several(finding),
        "time_ratio": asdict(pairs.time_ratio),
        "cpu_ratio": _cpu_ratio(pairs),
        "rate_ratio": asdict(_inverse(pairs.time_ratio)),
        "ledger": finding.ledger,
        "balances": True,
    }


def _several(finding: Finding) -> dict[str, Any]:
    """The side of several workers, if there is one; `speedup` is one worker's time divided by theirs."""
    pairs = finding.pairs
    if not pairs.shared:
        return {}
    side = _side(pairs.shared, finding.contacts)
    return {"several": {"workers": pairs.workers, **side, "speedup": asdict(pairs.speedup)}}


def _inverse(spread: Spread) -> Spread:
    return Spread(1 / spread.median, 1 / spread.high, 1 / spread.low)


def _side(runs: list[Run], contacts: int) -> dict[str, Any]:
    seconds = Spread.of([run.seconds for run in runs])
    return {
        "seconds": asdict(seconds),
        "contacts_per_second": contacts / seconds.median,
        "cpu_seconds": Spread.of([_cpu(run) for run in runs]).median,
        "cpu_by_role": _by_name([run.cpu for run in runs]),
        "peak_bytes": max(run.peak for run in runs),
        "facts": _by_name([run.facts for run in runs]),
        "runs": [run.seconds for run in runs],
    }


def _cpu(run: Run) -> float:
    return sum(run.cpu.values())


def _cpu_ratio(pairs: Pairs) -> float:
    """CPU seconds divided by the yardstick's: what a busy machine disturbs least."""
    ours, theirs = (Spread.of([_cpu(run) for run in runs]).median for runs in (pairs.ours, pairs.theirs))
    return ours / theirs if theirs else 0.0


def _by_name(found: list[dict[str, float]]) -> dict[str, float]:
    """The median of each name."""
    values: dict[str, list[float]] = defaultdict(list)
    for each in found:
        for name, value in each.items():
            values[name].append(value)
    return {name: Spread.of(each).median for name, each in values.items()}


def _table(finding: Finding) -> Table:
    title = f"{finding.variant}: {finding.contacts:,} contacts, {finding.bytes:,} bytes"
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for name in ("", "median s", "lowest – highest", "contacts/s", "CPU s", "per CPU s", "peak MiB"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    pairs = finding.pairs
    sides = [("caravan", pairs.ours), (f"{pairs.workers} workers", pairs.shared), ("yardstick", pairs.theirs)]
    for name, runs in sides:
        if not runs:
            continue
        side = _side(runs, finding.contacts)
        seconds = side["seconds"]
        table.add_row(
            name,
            f"{seconds['median']:.2f}",
            f"{seconds['low']:.2f} – {seconds['high']:.2f}",
            f"{side['contacts_per_second']:,.0f}",
            f"{side['cpu_seconds']:.2f}",
            f"{finding.contacts / side['cpu_seconds']:,.0f}" if side["cpu_seconds"] else "",
            f"{side['peak_bytes'] / _MIB:,.0f}",
        )
    return table


def _verdict(finding: Finding) -> str:
    ratio = finding.pairs.time_ratio
    ours = _side(finding.pairs.ours, finding.contacts)
    lines = [
        f"{ratio.median:.2f} × the yardstick's time ({ratio.low:.2f} – {ratio.high:.2f}), "
        f"{1 / ratio.median:.2f} of its rate, {_cpu_ratio(finding.pairs):.2f} × its CPU; the ledger balances"
    ]
    lines += [*_facts(ours), f"caravan's CPU: {_by_role(ours)}"]
    if finding.pairs.shared:
        several, faster = _side(finding.pairs.shared, finding.contacts), finding.pairs.speedup
        name = f"{finding.pairs.workers} workers"
        lines.append(f"{name} are {faster.median:.2f} × as fast as one ({faster.low:.2f} – {faster.high:.2f})")
        lines += [f"{name}: {fact}" for fact in [*_facts(several), f"CPU: {_by_role(several)}"]]
    return "\n".join(lines)


def _facts(side: dict[str, Any]) -> list[str]:
    return [f"{name}: {value:.3f} s" for name, value in side["facts"].items()]


def _by_role(side: dict[str, Any]) -> str:
    return ", ".join(f"{role} {seconds:.2f} s" for role, seconds in sorted(side["cpu_by_role"].items()))
