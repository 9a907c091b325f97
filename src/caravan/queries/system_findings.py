"""What the state of the installation means: whether each thing is well, in words, and what to do if it is not."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from caravan.queries.system import Disk, SystemState
from caravan.store.queues import Queue
from caravan.store.system import DatabaseState, QueueCounts

_SILENT = 15.0  # seconds without a heartbeat after which a worker with jobs is suspected to be dead
_LONG = 60.0  # seconds that a job may wait for a worker
_LOST = 30.0  # seconds after which its jobs are elsewhere, if all is well
_OPEN = 300.0  # seconds that a transaction may be open
_FULL, _TIGHT = 0.05, 0.2  # of a disk
_MANY = 0.8  # of PostgreSQL's connections
GIB = 1 << 30


class Verdict(StrEnum):
    """How something is."""

    GOOD = "good"
    WATCH = "watch"  # no harm yet
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing: how it is, what it means, and what to do; `remedy` is None where there is nothing to be done."""

    name: str
    value: str
    verdict: Verdict
    meaning: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class QueueFinding:
    """A queue with what it is for."""

    counts: QueueCounts
    verdict: Verdict
    meaning: str
    remedy: str | None = None


_QUEUES = {
    Queue.FETCH: "Downloads files that a batch names by a URL.",
    Queue.INTAKE: "Reads files up to 32 MiB.",
    Queue.SPANS: "Reads larger files.",
    Queue.SINGLES: "Lets in contacts that come one by one.",
    Queue.ADVANCE: "Moves contacts on from waits, splits and A/B steps.",
    Queue.DELIVER: "Sends messages.",
    Queue.UPKEEP: "Tidies up, and deletes what has been kept for long enough.",
}


def findings(state: SystemState) -> list[Finding]:
    """What is told of one by one, besides queues."""
    return [
        _ready(state),
        _workers(state),
        _work(state),
        _mail(state),
        *_channels(state),
        *_database(state.database),
        *map(_disk, state.disks),
        _store(state),
        _schema(state),
    ]


def queue_findings(state: SystemState) -> list[QueueFinding]:
    """Each queue."""
    return [_queue(each) for each in state.queues]


def worst(state: SystemState) -> Verdict:
    """The worst of all."""
    found = [*(each.verdict for each in findings(state)), *(each.verdict for each in queue_findings(state))]
    return max(found, key=list(Verdict).index)


def _ready(state: SystemState) -> Finding:
    meaning = "PostgreSQL and the store of files answer this process. A load balancer asks the same at /readyz."
    if not state.missing:
        return Finding("Ready", "yes", Verdict.GOOD, meaning)
    remedy = "Work waits and goes on by itself once it answers. Look at its own log and at the network between."
    return Finding("Ready", " ".join(state.missing), Verdict.BAD, meaning, remedy)


def _workers(state: SystemState) -> Finding:
    beats = state.heartbeats
    meaning = "Each worker process has one worker a queue, and gives a heartbeat every 2.5 seconds."
    value = f"{beats.heard:,} heard in the last 15 seconds"
    if beats.heard == 0:
        last = "never" if beats.last is None else f"{spell(beats.last)} ago"
        remedy = (
            "Nothing moves and nothing is sent. Start `caravan worker`, or `caravan up`, which keeps its own running."
        )
        return Finding("Workers", f"none; one was last heard {last}", Verdict.BAD, meaning, remedy)
    if beats.silent is not None and beats.silent > _SILENT + _LOST:
        value += f"; one with work is silent for {spell(beats.silent)}"
        remedy = "Its jobs should be elsewhere by now. Look whether its machine lives, and at the log of the others."
        return Finding("Workers", value, Verdict.BAD, meaning, remedy)
    if beats.silent is not None and beats.silent > _SILENT:
        remedy = "If it is dead, its work goes on elsewhere within 30 seconds, by itself."
        return Finding("Workers", f"{value}; one with work is silent", Verdict.WATCH, meaning, remedy)
    return Finding("Workers", value, Verdict.GOOD, meaning)


def _work(state: SystemState) -> Finding:
    contacts = sum(each.contacts for each in state.stuck)
    meaning = "Work that failed in the same way five times, or killed its worker ten times, waits for a person."
    if contacts:
        remedy = "Mend what the reason names, then press Retry on the batch’s page."
        return Finding("Stuck contacts", f"{contacts:,}", Verdict.BAD, meaning, remedy)
    if state.hindered:
        count = len(state.hindered)
        remedy = "It is tried again by itself. The reason says what to mend."
        value = f"none, but {count:,} file{'' if count == 1 else 's'} in trouble"
        return Finding("Stuck contacts", value, Verdict.WATCH, meaning, remedy)
    return Finding("Stuck contacts", "none", Verdict.GOOD, meaning)


def _mail(state: SystemState) -> Finding:
    if state.has_relay:
        return Finding("Mail", "to a relay", Verdict.GOOD, "Mails are handed to the relay that CARAVAN_SMTP_URL names.")
    meaning = "No CARAVAN_SMTP_URL is set for this process: mails are kept in the sandbox and go nowhere."
    remedy = "Right for trying things out. To send, set CARAVAN_SMTP_URL for the API and all workers, and restart them."
    return Finding("Mail", "into the sandbox", Verdict.WATCH, meaning, remedy)


def _channels(state: SystemState) -> Iterator[Finding]:
    """Those whose other side could not be reached at the last attempt."""
    for each in state.channels:
        if each.is_away:
            meaning = "The last attempt reached no relay or host. What goes there waits and is tried again by itself."
            remedy = "Look whether the other side runs and lets these machines in; the batches say how many wait."
            yield Finding(f"Channel {each.channel}", "not reached", Verdict.BAD, meaning, remedy)


def _database(state: DatabaseState) -> Iterator[Finding]:
    meaning = "Of all clients of this PostgreSQL server; it takes no more than the second number."
    value = f"{state.connections:,} of {state.most:,}, {state.own:,} of Caravan, {state.active:,} at work"
    many = state.connections > _MANY * state.most
    remedy = "Raise max_connections, or lower CARAVAN_DATABASE_CONNECTIONS for each process." if many else None
    yield Finding("Connections", value, Verdict.BAD if many else Verdict.GOOD, meaning, remedy)
    longest = state.longest or 0.0
    late = longest > _OPEN
    remedy = "A client, or a backup, keeps it open, so nothing that it could see is cleaned up. End it if it hangs."
    yield Finding(
        "Longest transaction",
        spell(longest),
        Verdict.WATCH if late else Verdict.GOOD,
        "Caravan’s own take seconds at most, a dump of the database may take longer.",
        remedy if late else None,
    )
    yield Finding(
        "Database",
        size(state.bytes),
        Verdict.GOOD,
        "It holds state, not contacts: a row a cohort. The sandbox’s mails are in it too.",
    )


def _disk(disk: Disk) -> Finding:
    free = disk.free / disk.total if disk.total else 0.0
    value = f"{size(disk.free)} free of {size(disk.total)} ({free:.0%})"
    verdict = Verdict.BAD if free < _FULL else Verdict.WATCH if free < _TIGHT else Verdict.GOOD
    meaning = f"The disk under {disk.folder} of the machine that served this page. Other machines have their own."
    remedy = "Make room: forget batches, or give it a larger disk. When it is full, work waits and nothing is lost."
    return Finding(disk.name, value, verdict, meaning, remedy if verdict is not Verdict.GOOD else None)


def _store(state: SystemState) -> Finding:
    return Finding("Store", state.store, Verdict.GOOD, "Where files of contacts, rejects and journals are kept.")


def _schema(state: SystemState) -> Finding:
    there, wanted = state.schema
    meaning = "The newest migration that the database has. Versions run side by side during an upgrade."
    if there == wanted:
        return Finding("Schema", f"{there}", Verdict.GOOD, meaning)
    newer = "A newer version of Caravan has migrated it: restart this process with that version."
    older = "Run `caravan migrate`."
    value = f"{there}, this version has {wanted}"
    return Finding("Schema", value, Verdict.WATCH, meaning, newer if there > wanted else older)


def _queue(counts: QueueCounts) -> QueueFinding:
    meaning = next((words for queue, words in _QUEUES.items() if queue == counts.queue), "")
    if counts.oldest is None or counts.oldest <= _LONG:
        return QueueFinding(counts, Verdict.GOOD, meaning)
    if counts.doing == 0:
        remedy = "No worker serves it: start one with this queue, or look at the log of those that should."
        return QueueFinding(counts, Verdict.BAD, meaning, remedy)
    remedy = "The workers are busy. If it grows for long, start more of them."
    return QueueFinding(counts, Verdict.WATCH, meaning, remedy)


def spell(seconds: float) -> str:
    """A stretch of time in its largest unit: 12 s, 3 min, 2 h, 5 d."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(count: int) -> str:
    """Bytes in their largest unit: 12.3 GiB."""
    for unit, length in (("TiB", GIB << 10), ("GiB", GIB), ("MiB", 1 << 20)):
        if count >= length:
            return f"{count / length:,.1f} {unit}"
    return f"{count / 1024:,.0f} KiB"
