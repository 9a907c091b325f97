"""Why a batch waits, as values and in words (`waiting`, `waitingFor`), so that a reader need neither guess nor restart
something to find out."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from psycopg.rows import DictRow

from caravan.store.batches import Batch, BatchState, Source
from caravan.store.cohorts import NEVER

_MOMENT = timedelta(seconds=1)  # that contacts may be in line for a worker before it is worth a word

_SOON = timedelta(minutes=1)  # within which contacts that stand are let go, if they are only in line


class Kind(StrEnum):
    """What a batch can wait for. Those that need a person come first, and what simply takes its time last."""

    STUCK = "stuck"  # the work failed again and again
    TROUBLE = "trouble"  # something that Caravan stands on does not work
    RETRY = "retry"  # an attempt failed; the next one has its time
    RECALL = "recall"  # a cancel that is still carried out
    QUEUED = "queued"  # in line for a worker
    HELD = "held"  # read whole, and held for review
    PAUSED = "paused"
    UPLOAD = "upload"
    DOWNLOAD = "download"
    WAIT = "wait"  # the time of a step


class Remedy(StrEnum):
    """What would help: a call `POST batches/{id}/…`, or the PUT of the file."""

    RETRY = "retry"
    RESUME = "resume"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that a batch waits for."""

    kind: Kind
    sentence: str
    step: str | None = None
    contacts: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    reason: str | None = None
    remedy: Remedy | None = None


_ORDER = list(Kind)


def why_it_waits(batch: Batch, found: DictRow, now: datetime) -> list[Waiting]:
    """All that the batch waits for, by its row of the query `shown`, the most pressing first. Nothing while it moves,
    nor after it has ended, but for a cancel that is still carried out."""
    return sorted(_all(batch, found, now), key=lambda each: _ORDER.index(each.kind))


def stuck(found: DictRow) -> int:
    """How many contacts are stuck until a retry by command."""
    return sum(each["contacts"] for each in found["standing"] or () if each["how"] == "stuck")


def working(found: DictRow, now: datetime) -> int:
    """How many contacts a worker has in hand, or are in line for one or for a pace that lets them go in a minute."""
    return sum(each["contacts"] for each in found["standing"] or () if _is_at_work(each, now))


def _is_at_work(group: dict[str, Any], now: datetime) -> bool:
    soon = group["how"] == "standing" and datetime.fromisoformat(group["due_at"]) - now <= _SOON
    return soon or group["how"] in ("moving", "queued")


def is_idle(batch: Batch, found: DictRow) -> bool:
    """Whether each contact has left the journey or waits for a moment, so that nothing is moved or sent before."""
    if batch.state != BatchState.RUNNING or batch.paused_at is not None or found["arrivals"]:
        return batch.ended and not found["standing"]
    return all(each["how"] == "waiting" for each in found["standing"] or ())


def _all(batch: Batch, found: DictRow, now: datetime) -> Iterator[Waiting]:
    if batch.state == BatchState.CANCELLED:
        yield from _standing(found, now)
        if found["arrivals"]:
            sentence = f"{_contacts(found['arrivals'])} by single start {_are(found['arrivals'])} still to be recalled"
            yield Waiting(Kind.RECALL, sentence, contacts=found["arrivals"])
    elif batch.ended:
        return
    elif batch.held and batch.paused_at is not None:
        sentence = f"the batch is held for review since {_time(batch.paused_at)}, until it is resumed or cancelled"
        yield Waiting(Kind.HELD, sentence, since=batch.paused_at, remedy=Remedy.RESUME)
    elif batch.paused_at is not None:
        sentence = f"the batch is paused since {_time(batch.paused_at)}, until it is resumed"
        yield Waiting(Kind.PAUSED, sentence, since=batch.paused_at, remedy=Remedy.RESUME)
    elif batch.hindrance is not None:
        yield Waiting(Kind.TROUBLE, batch.hindrance, reason=batch.hindrance)
    elif batch.state == BatchState.RUNNING:
        yield from _standing(found, now)
        yield from _singles(found)
    else:
        yield from _file(batch)


def _file(batch: Batch) -> Iterator[Waiting]:
    if batch.state == BatchState.AWAITING_UPLOAD and batch.expires_at is not None:
        sentence = f"the file: PUT it to the uploadUrl before {_time(batch.expires_at)}"
        yield Waiting(Kind.UPLOAD, sentence, until=batch.expires_at, remedy=Remedy.UPLOAD)
    elif batch.state == BatchState.RECEIVING:
        download = batch.source == Source.DOWNLOAD
        kind = Kind.DOWNLOAD if download else Kind.UPLOAD
        yield Waiting(kind, f"the rest of the {kind}", since=batch.created_at if download else None)


def _standing(found: DictRow, now: datetime) -> Iterator[Waiting]:
    """What each step's contacts wait for. Those in line for a worker are in the way of nobody while others move."""
    groups = found["standing"] or []
    moving = any(each["how"] in ("moving", "slowed") for each in groups)
    for each in groups:
        due = datetime.fromisoformat(each["due_at"])
        match each["how"]:
            case "stuck":
                yield _stuck(each)
            case "retrying":
                yield _retrying(each, due, now)
            case "waiting":
                yield _waiting_until(each, due)
            case "standing":
                yield _standing_for(each, due)
            case "slowed":
                sentence = f"{_who(each)} {_are(each['contacts'])} going out no faster than allowed: {each['reason']}"
                yield _waiting(Kind.WAIT, sentence, each, reason=each["reason"])
            case "queued" if not moving and now - due >= _MOMENT:
                sentence = f"{_who(each)} {_are(each['contacts'])} in line for a worker since {_time(due)}"
                yield _waiting(Kind.QUEUED, sentence, each, since=due)


def _waiting_until(group: dict[str, Any], due: datetime) -> Waiting:
    """Contacts for whom nothing is done before their time, but by an event that they wait for."""
    events = " or ".join(group["events"] or ())
    what = f"for {events}, " if events else ""
    sentence = f"{_who(group)} {_are(group['contacts'])} waiting {what}until {_time(due)}"
    return _waiting(Kind.WAIT, sentence, group, until=due, reason=f"for the event {events}" if events else None)


def _standing_for(group: dict[str, Any], due: datetime) -> Waiting:
    """Contacts that no failure keeps, but something that has its time or its event."""
    until = due if due < NEVER else None
    when = f"until {_time(until)}" if until else "until an event"
    sentence = f"{_who(group)} {_are(group['contacts'])} standing {when}: {group['reason']}"
    return _waiting(Kind.WAIT, sentence, group, until=until, reason=group["reason"])


def _stuck(group: dict[str, Any]) -> Waiting:
    since = datetime.fromisoformat(group["stuck_at"])
    sentence = f"{_who(group)} {_are(group['contacts'])} stuck since {_time(since)} until a retry: {group['reason']}"
    return _waiting(Kind.STUCK, sentence, group, since=since, reason=group["reason"], remedy=Remedy.RETRY)


def _retrying(group: dict[str, Any], due: datetime, now: datetime) -> Waiting:
    when = f" at {_time(due)}" if due > now else ""
    sentence = f"{_who(group)} {_are(group['contacts'])} retried{when}: {group['reason']}"
    until = due if due > now else None
    return _waiting(Kind.RETRY, sentence, group, until=until, reason=group["reason"])


def _waiting(kind: Kind, sentence: str, group: dict[str, Any], **more: Any) -> Waiting:
    return Waiting(kind, sentence, step=group["step"], contacts=group["contacts"], **more)


def _singles(found: DictRow) -> Iterator[Waiting]:
    """Singles in line to enter. Others of their batch may be under way meanwhile."""
    if count := found["arrivals"]:
        sentence = f"{_contacts(count)} by single start {_are(count)} in line to enter"
        yield Waiting(Kind.QUEUED, sentence, contacts=count)


def _who(group: dict[str, Any]) -> str:
    return f"{_contacts(group['contacts'])} at {group['step']}"


def _contacts(count: int) -> str:
    return f"{count:,} contact{'' if count == 1 else 's'}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
