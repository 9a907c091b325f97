"""`bench pace`: how exactly mails to a provider keep to its pace, and what pacing costs."""

import json
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from caravan.bench.email import deliver
from caravan.bench.inputs import Made, contact
from caravan.bench.letter import letter
from caravan.bench.report import circumstances, show_circumstances
from caravan.bench.sinks import timed_sink
from caravan.bench.system import System, send, up, workspace
from caravan.errors import Unavailable

YARDSTICK = "the pace itself: so many mails a second, in any ten seconds"
_PACED, _OTHER = "gmail.com", "example.com"
_SPAN = 10.0  # seconds
_SETTLED = 1.5  # seconds after which a pace that was set is looked at
_OCTETS = 2_000
_PATIENCE = 60.0
_NEVER_SLOW = 1_000_000.0  # a second: paced, and never late

Look = Callable[[], dict[str, list[float]]]


@dataclass(frozen=True, slots=True)
class Kept:
    """How a pace was kept to: parts of it by which any ten seconds had more, or less."""

    rate: float
    workers: int
    how: str  # steady, or changed from which rate
    seconds: float
    over: float
    under: float
    others: float  # seconds until all mails to others had left, which wait for none of these


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of processor time for the same mails."""

    mails: int
    off: float
    on: float

    @property
    def part(self) -> float:
        """What pacing costs more, as a part."""
        return self.on / self.off - 1


@dataclass(frozen=True, slots=True)
class Pacing:
    """The whole benchmark."""

    rows: int
    kept: list[Kept]
    cost: Cost

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        cost = {**asdict(self.cost), "part": self.cost.part}
        return {**circumstances("pace", self.rows, YARDSTICK), "findings": list(map(asdict, self.kept)), "cost": cost}

    def show(self, console: Console) -> None:
        """Print it as a table."""
        show_circumstances(console, "pace", self.rows, YARDSTICK)
        table = Table(box=SIMPLE)
        for name in ("a second", "workers", "", "looked at s", "most over", "most under", "others left after s"):
            table.add_column(name, justify="left" if not name else "right", no_wrap=True)
        for each in self.kept:
            parts = (f"{each.over:+.1%}", f"{-each.under:+.1%}")
            table.add_row(
                f"{each.rate:g}", str(each.workers), each.how, f"{each.seconds:.0f}", *parts, f"{each.others:.1f}"
            )
        console.print(table)
        cost = self.cost
        console.print(
            f"{cost.mails:,} mails: {cost.off:.2f} s of processor time without a pace, {cost.on:.2f} s with one by "
            f"provider that is never late ({cost.part:+.0%})",
            highlight=False,
        )


def run(
    rates: Sequence[float], seconds: float, workers: int, rows: int, repeats: int, say: Callable[[str], None]
) -> Pacing:
    """All of it. Raises `Unbalanced` when a ledger is not what it must be."""
    kept: list[Kept] = []
    with workspace() as folder:
        for count in sorted({1, workers}):
            with (
                timed_sink() as (port, look),
                up(
                    folder / f"w{count}", letter(_OCTETS).journey(), smtp_url=_relay(port), workers=str(count)
                ) as system,
            ):
                for rate in rates:
                    say(f"{rate:g} a second, {count} worker{'' if count == 1 else 's'}")
                    kept.append(_steady(folder, system, look, rate, seconds, count))
                say(f"from {rates[-1]:g} to {rates[0]:g} a second and back")
                kept += _changed(folder, system, look, rates, seconds, count)
        say(f"what it costs: {rows:,} mails")
        cost = _cost(folder, rows, repeats)
    return Pacing(rows, kept, cost)


def _relay(port: int) -> str:
    return f"smtp://127.0.0.1:{port}"


def _steady(folder: Path, system: System, look: Look, rate: float, seconds: float, workers: int) -> Kept:
    with system.client() as client:
        client.set_rate("email", per_second=rate, provider="gmail")
        before = {domain: len(times) for domain, times in look().items()}
        rows = int(rate * (seconds + 5))
        sent = send(client, _write(folder, rows, others=2_000).path)
        begin = _first(look, before) + _SETTLED
        _sleep_until(begin + seconds)
        times = look()
        client.cancel(sent.batch)
    over, under = _deviation(times[_PACED][before.get(_PACED, 0) :], rate, begin, begin + seconds)
    others = times[_OTHER][before.get(_OTHER, 0) :]
    if len(others) < 2_000:
        raise Unavailable(f"Of 2,000 mails to others {len(others):,} had left after {seconds:.0f} s.")
    return Kept(rate, workers, "steady", seconds, over, under, others[-1] - sent.answered)


def _changed(
    folder: Path, system: System, look: Look, rates: Sequence[float], seconds: float, workers: int
) -> list[Kept]:
    """The same while the rate is changed, with mails under way."""
    phases = [(rates[-1], rates[0]), (rates[0], rates[-1])]
    kept = []
    with system.client() as client:
        client.set_rate("email", per_second=rates[-1], provider="gmail")
        before = {domain: len(times) for domain, times in look().items()}
        rows = int(sum(rates[each] for each in (0, -1, -1)) * (seconds + 5))
        sent = send(client, _write(folder, rows, others=10).path)
        _sleep_until(_first(look, before) + 5)
        for old, new in phases:
            client.set_rate("email", per_second=new, provider="gmail")
            begin = time.time() + _SETTLED
            _sleep_until(begin + seconds)
            times = look()[_PACED][before.get(_PACED, 0) :]
            over, under = _deviation(times, new, begin, begin + seconds)
            kept.append(Kept(new, workers, f"changed from {old:g}", seconds, over, under, 0.0))
        client.cancel(sent.batch)
    return kept


def _deviation(times: list[float], rate: float, begin: float, end: float) -> tuple[float, float]:
    """By which part any ten seconds had more, and by which less, than they should."""
    if not times or times[-1] < end - _SPAN:
        raise Unavailable("The paced mails were all sent before the time was over.")
    starts = [begin, *(each for each in times if begin <= each <= end - _SPAN), end - _SPAN]
    counts = [bisect_left(times, start + _SPAN) - bisect_left(times, start) for start in starts]
    return max(counts) / (rate * _SPAN) - 1, 1 - min(counts) / (rate * _SPAN)


def _cost(folder: Path, rows: int, repeats: int) -> Cost:
    """Processor time of `caravan up` for the same batch with a pace and without one, in turn."""
    sides: dict[bool, list[float]] = {False: [], True: []}
    ledgers: list[dict[str, Any]] = []
    with (
        timed_sink() as (port, _),
        up(folder / "cost", letter(_OCTETS).journey(), smtp_url=_relay(port), workers="1") as system,
    ):
        made = _write(folder, rows, others=rows)
        deliver(system, "mail", _write(folder, 200, others=200), ledgers)
        for _ in range(repeats):
            for paced in (False, True):
                with system.client() as client:
                    if paced:
                        client.set_rate("email", per_second=_NEVER_SLOW, provider="gmail")
                    else:
                        client.end_rate("email", provider="gmail")
                time.sleep(_SETTLED)
                spent = deliver(system, "mail", made, ledgers)
                sides[paced].append(sum(spent.cpu.values()))
    return Cost(made.entered, median(sides[False]), median(sides[True]))


def _first(look: Look, before: dict[str, int]) -> float:
    """When the first paced mail of a batch came."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if times := look().get(_PACED, [])[before.get(_PACED, 0) :]:
            return times[0]
        time.sleep(0.05)
    raise Unavailable("No mail came.")


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


def _write(folder: Path, rows: int, others: int) -> Made:
    """A file with so many contacts of the paced provider and so many others, mixed."""
    total, every = rows + others, max(1, (rows + others) // max(1, others))
    made = Made(folder / f"paced-{rows}-{others}.ndjson", lines=total, entered=total)
    left = others
    with made.path.open("w", encoding="utf-8") as file:
        for number in range(total):
            is_other = left > 0 and (number % every == 0 or total - number <= left)
            left -= is_other
            address = f"c{number}@{_OTHER if is_other else _PACED}"
            row = {"id": f"c-{number:08}", "properties": {**contact(number), "emailAddress": address}}
            file.write(json.dumps(row) + "\n")
    return made
