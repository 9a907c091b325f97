"""`bench api`: how long calls take while a batch is uploaded and read, beside an installation that is idle."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from caravan.bench.entry import SPLIT_AND_WAIT, WAITS
from caravan.bench.inputs import Made, write_file
from caravan.bench.latency import Latencies, Round
from caravan.bench.load import load
from caravan.bench.measure import Timed
from caravan.bench.system import JOURNEY, System, check_ledger, follow, send, up, upload, workspace

_WARM_ROWS, _WARM = 2_000, 3.0  # seconds


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the calls go, and the process that makes them: beside the upload, which keeps this one busy."""

    system: System
    caller: ProcessPoolExecutor
    idle_batch: str


def run(rows: int, repeats: int, idle: float, say: Callable[[str], None]) -> Latencies:
    """Idle, busy, idle, busy …. Raises `Unbalanced` when a ledger is not what it must be."""
    with workspace() as folder:
        say(f"making {rows:,} rows")
        made, warm = write_file(folder / "contacts.ndjson", rows), write_file(folder / "warm.ndjson", _WARM_ROWS)
        # The system ends before its caller, so a caller that waits for a batch in vain ends as well.
        with (
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as caller,
            up(folder / "data", SPLIT_AND_WAIT) as system,
        ):
            place = _Place(system, caller, _enter(system, warm))
            caller.submit(load, system, place.idle_batch, _WARM).result()
            rounds = [_round(place, made, idle, say) for _ in range(repeats)]
    return Latencies(rows, rounds)


def _enter(system: System, made: Made) -> str:
    """A batch whose contacts stand in a wait."""
    with system.client() as client:
        batch = send(client, made.path).batch
        follow(client, batch, WAITS, made.entered)
    return batch


def _round(place: _Place, made: Made, idle: float, say: Callable[[str], None]) -> Round:
    system = place.system
    with system.meter() as meter:
        before = place.caller.submit(load, system, place.idle_batch, idle).result()
    cpu = meter.run(Timed(idle)).cpu
    say(f"  idle: {len(before):,} calls")
    with system.client() as client:
        started = client.open_upload(JOURNEY)
        calling = place.caller.submit(load, system, started.batch)
        sent = upload(client, started, made.path)
        during = calling.result()
        ledger = follow(client, sent.batch, WAITS, made.entered)["ledger"]
        check_ledger(ledger, made)
        client.change(sent.batch, "cancel")
    say(f"  while a batch comes in: {len(during):,} calls")
    return Round.of(before, during, sent.answered, cpu, ledger)
