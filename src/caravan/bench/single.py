"""`bench single`: calls of the single starter, each durable before its answer; beside a bare FastAPI route on the same
server, which inserts one row and commits."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from caravan.bench.calls import Answered, Target, full, paced
from caravan.bench.latency import percentile
from caravan.bench.measure import Meter, Timed
from caravan.bench.report import circumstances, show_circumstances
from caravan.bench.system import JOURNEY, System, follow, up, workspace
from caravan.errors import Unavailable
from caravan.server.embedded import embedded
from caravan.store import sql

YARDSTICK = "a bare FastAPI route that inserts one row and commits, on the same server, to the same PostgreSQL"
_WAIT = f"""
journey: {JOURNEY}
name: Bench
steps:
  - id: hold
    wait: 30 days
    next: rest
  - id: rest
    exit: {{}}
"""
_FULL_SPEED = "at full speed"
_WARM = 2.0  # seconds
_Q = sql.load("caravan.bench", "bench.sql")


@dataclass(frozen=True, slots=True)
class Side:
    """One side in one phase."""

    side: str
    phase: str
    rate: float  # calls a second
    p50: float
    p99: float
    slowest: float
    cpu: dict[str, float]  # seconds of a call, by what the process is; the caller's not counted

    @classmethod
    def of(cls, side: str, phase: str, found: Answered, cpu: dict[str, float]) -> "Side":
        times = found.latencies
        shares = (percentile(times, 0.5), percentile(times, 0.99), max(times))
        return cls(
            side, phase, len(times) / found.seconds, *shares, {role: cpu[role] / len(times) for role in sorted(cpu)}
        )


@dataclass(frozen=True, slots=True)
class Singles:
    """The whole benchmark."""

    calls: int
    sides: list[Side]
    ledger: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """All of it. Times in seconds."""
        fields = ("side", "phase", "rate", "p50", "p99", "slowest", "cpu")
        findings = [{name: getattr(each, name) for name in fields} for each in self.sides]
        told = {"findings": findings, "rate_ratio": self.rate_ratio, "ledger": self.ledger, "balances": True}
        return {**circumstances("single", self.calls, YARDSTICK), **told}

    @property
    def rate_ratio(self) -> float:
        """Our median rate at full speed divided by the yardstick's."""
        ours, theirs = (
            median(each.rate for each in self.sides if each.side == side and each.phase == _FULL_SPEED)
            for side in ("caravan", "yardstick")
        )
        return ours / theirs

    def show(self, console: Console) -> None:
        """Print it as a table."""
        show_circumstances(console, "single", self.calls, YARDSTICK)
        table = Table(box=SIMPLE)
        for name in ("", "calls", "a second", "p50 ms", "p99 ms", "slowest", "CPU ms a call"):
            figure = name != "CPU ms a call"  # which may take two lines, so that no figure is cut
            table.add_column(name, justify="left" if name in ("", "calls") else "right", no_wrap=figure)
        for each in self.sides:
            times = (f"{value * 1000:,.1f}" for value in (each.p50, each.p99, each.slowest))
            table.add_row(
                each.side,
                each.phase,
                f"{each.rate:,.0f}",
                *times,
                ", ".join(f"{role} {seconds * 1000:.2f}" for role, seconds in each.cpu.items() if seconds >= 5e-6),
            )
        console.print(table)
        console.print(f"{self.rate_ratio:.2f} of the yardstick's rate; all of them entered, the ledger balances")


def run(connections: int, rate: float, seconds: float, repeats: int, say: Callable[[str], None]) -> Singles:
    """Both sides in turn: at full speed, then at a steady rate. Raises `Unavailable` unless all have entered."""
    with (
        workspace() as folder,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as caller,
        up(folder / "data", _WAIT) as system,
        embedded(folder / "data") as url,
        _bare(url) as (port, pid),
    ):
        path = f"/{system.customer}/journeys/{JOURNEY}/commence"
        ours = Target(urlsplit(system.url).port or 80, path, system.token, 202)
        theirs = Target(port, "/1001/people", system.token, 202)
        bench = _Bench(caller, connections, rate, seconds)
        bench.warm(ours, theirs)
        sides = []
        for number in range(1, repeats + 1):
            sides += bench.round("caravan", ours, system.meter)
            sides += bench.round("yardstick", theirs, lambda: Meter(pid, near=system.folder))
            say(f"  run {number} of {repeats}: " + ", ".join(f"{s.side} {s.rate:,.0f}/s" for s in sides[-4:]))
        ledger = _all_entered(system, bench.made[ours.path])
    return Singles(sum(bench.made.values()), sides, ledger)


class _Bench:
    """Makes the calls, in a process of their own."""

    def __init__(self, caller: ProcessPoolExecutor, connections: int, rate: float, seconds: float) -> None:
        self._caller, self._connections, self._rate, self._seconds = caller, connections, rate, seconds
        self._next = 0
        self.made: dict[str, int] = {}

    def warm(self, *targets: Target) -> None:
        for target in targets:
            self._calls(target, full, _WARM)

    def round(self, side: str, target: Target, meter: Callable[[], Meter]) -> list[Side]:
        """At full speed, then at the steady rate."""
        sides = []
        steady = f"at {self._rate:,.0f} a second"
        for phase, load, more in ((_FULL_SPEED, full, ()), (steady, paced, (self._rate,))):
            with meter() as metered:
                found = self._calls(target, load, *more, self._seconds)
            sides.append(Side.of(side, phase, found, metered.run(Timed(found.seconds)).cpu))
        return sides

    def _calls(self, target: Target, load: Callable[..., Answered], *how: float) -> Answered:
        self._next += 100_000_000
        found: Answered = self._caller.submit(load, target, self._connections, *how, self._next).result()
        self.made[target.path] = self.made.get(target.path, 0) + len(found.latencies)
        return found


def _all_entered(system: System, calls: int) -> dict[str, Any]:
    """The ledger of the batch that all of them entered."""
    with system.client() as client:
        (batch,) = client.batches()
        ledger: dict[str, Any] = follow(client, batch.id, ("hold",), calls)["ledger"]
    if ledger["entered"] != calls or sum(step["standing"] for step in ledger["steps"]) != calls:
        raise Unavailable(f"Of {calls:,} singles not all have entered: {ledger}.")
    return ledger


@contextmanager
def _bare(url: str) -> Iterator[tuple[int, int]]:
    """The yardstick's server: its port and its process."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve_bare, args=(url, there), daemon=True)
    process.start()
    try:
        assert process.pid is not None
        yield int(here.recv()), process.pid
    finally:
        process.terminate()
        process.join(10)


def _serve_bare(url: str, pipe: Connection) -> None:
    import socket

    import uvicorn
    import uvloop
    from fastapi import FastAPI
    from pydantic import BaseModel

    from caravan.store.database import connect

    class Person(BaseModel):
        id: str
        properties: dict[str, str]

    async def serve() -> None:
        async with connect(url, size=20) as pool:
            async with pool.connection() as connection:
                await connection.execute(_Q.create_singles)
            app = FastAPI()

            async def enter(customer: int, person: Person) -> dict[str, str]:
                async with pool.connection() as connection:
                    values = {"id": person.id, "properties": str(person.properties)}
                    await connection.execute(_Q.add_single, values)
                return {"contactId": person.id}

            app.post("/{customer}/people", status_code=202)(enter)
            with socket.create_server(("127.0.0.1", 0)) as door:
                pipe.send(door.getsockname()[1])
                config = uvicorn.Config(app, log_level="warning", access_log=False)
                await uvicorn.Server(config).serve([door])

    uvloop.run(serve())


def _by_role(cpu: dict[str, float]) -> str:
    return ", ".join(f"{role} {seconds * 1000:.2f}" for role, seconds in cpu.items())
