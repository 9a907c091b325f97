"""Cohorts: the contacts of one batch that stand at one step together. One row each, and one Parquet file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "cohorts.sql")

#: One contact a row: its line in the file, the customer's own id, and the text of a JSON object.
CONTACTS = pa.schema([("line", pa.int64()), ("id", pa.string()), ("properties", pa.string())])

#: In place of the id of a contact that was forgotten (engine/erasure.py). Its row has no properties, and goes on.
FORGOTTEN = ""
_LINES = re.compile(r"-l([0-9]+)-([0-9]+)\.parquet$")
#: When contacts are due that stand until an event.
NEVER = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """Some contacts in a file of the store."""

    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Cohort:
    """A cohort together with what of its batch decides what may happen to it."""

    id: int
    batch: str
    step: str
    part: Part
    visit: int
    attempt: int
    first_tried_at: datetime | None
    due_at: datetime
    closed: bool
    claim: str | None  # the fencing token of the worker that may move it
    customer: int
    journey: int
    version: int
    state: str
    paused: bool
    stuck: bool
    doubt: bool  # an earlier try may have reached any of them
    deaths: int  # of workers that had claimed it, in a row
    batch_created_at: datetime
    turn: int | None  # where it stands in its queue (turns.py); None until it has taken its place there
    replay: bool = False  # its contacts have left the step before, as failed, and go no further from it
    provider: str | None = None  # that all its contacts have, once it was sorted by provider
    sorted_for: str | None = None  # the providers for which it was sorted, with commas between
    sends_until: datetime | None = None  # nothing of its batch is sent from then on
    batch_started_at: datetime | None = None
    opened_at: datetime | None = None
    entered_at: datetime | None = None  # its contacts the journey; None for cohorts of older versions
    checks: bool = False  # its contacts have just come; those leave first whom a condition of the journey lets go
    before_at: datetime | None = None  # when they came to the step before, if there was one
    asked: bool = False  # its contacts have been asked something here, and stand until they are answered for
    place: int = -1  # of its step among the steps of the journey's version, once it is claimed

    def claimed_by(self, token: str, place: int) -> "Cohort":
        """The same, under this claim, by a worker that knows the journey."""
        return replace(self, claim=token, place=place)


@dataclass(frozen=True, slots=True)
class Opening:
    """A cohort about to be opened."""

    step: str
    part: Part
    visit: int
    due_at: datetime
    attempt: int = 1
    first_tried_at: datetime | None = None
    reason: str | None = None
    stands: bool = False  # the reason is what its contacts stand for, and no attempt that failed
    doubt: bool = False
    deaths: int = 0
    arrives: bool = True  # its contacts have not stood at this step before
    turn: int | None = None  # the place that it inherits in its queue
    replay: bool = False  # its contacts have left the step before, as failed
    provider: str | None = None
    sorted_for: str | None = None
    before: datetime | None = None  # when its contacts came to the step before
    entered_at: datetime | None = None  # when they entered the journey; None: now, or not known
    checks: bool = False  # those leave first whom a condition of the journey lets go
    asked: bool = False  # they have been asked something here, and stand until they are answered for
    came_at: datetime | None = None  # when they came to the step, by a batch of an older version, which they enter by


async def get(connection: Connection, cohort: int) -> Cohort | None:
    """The cohort, or None if it was deleted with its batch."""
    found = await row(connection, _Q.cohort, id=cohort)
    if found is None:
        return None
    return Cohort(
        id=found["id"],
        batch=found["batch_id"],
        step=found["step"],
        part=Part(found["file"], found["size"]),
        visit=found["visit"],
        attempt=found["attempt"],
        first_tried_at=found["first_tried_at"],
        due_at=found["due_at"],
        closed=found["closed_at"] is not None,
        claim=found["holder"],
        customer=found["customer_id"],
        journey=found["journey_id"],
        version=found["version"],
        state=found["state"],
        paused=found["paused_at"] is not None,
        stuck=found["stuck_at"] is not None,
        doubt=found["doubt"],
        deaths=found["deaths"],
        turn=found["turn"],
        replay=found["replay"],
        provider=found["provider"],
        sorted_for=found["sorted_for"],
        opened_at=found["opened_at"],
        entered_at=found["entered_at"],
        checks=found["checks"],
        asked=found["asked"],
        before_at=found["before_at"],
        batch_created_at=found["batch_created_at"],
        batch_started_at=found["batch_started_at"],
        sends_until=found["sends_until"],
    )


@dataclass(frozen=True, slots=True)
class StandingCohort:
    """An open cohort, as an answer to where its contacts are."""

    id: int
    step: str
    file: str
    attempt: int
    due_at: datetime
    opened_at: datetime
    stuck_at: datetime | None
    reason: str | None
    stands: bool  # the reason is what its contacts stand for, and no attempt that failed
    claimed: bool


async def standing(connection: Connection, batch: str, step: str | None = None) -> list[StandingCohort]:
    """The open cohorts of a batch, or those at one step."""
    return [StandingCohort(**found) for found in await rows(connection, _Q.standing_files, batch=batch, step=step)]


async def arrival_files(connection: Connection, batch: str, step: str, visit: int) -> list[tuple[int, str]]:
    """The cohorts, with their files, with which contacts came to a step on this visit, also of those who have left
    it."""
    found = await rows(connection, _Q.arrival_files, batch=batch, step=step, visit=visit)
    return [(each["id"], each["file"]) for each in found]


@dataclass(frozen=True, slots=True)
class Totals:
    """What stands in all batches."""

    contacts: int
    cohorts: int
    stuck: int  # of the contacts


async def totals(connection: Connection) -> Totals:
    """What stands in all batches now."""
    found = await row(connection, _Q.totals)
    assert found is not None
    return Totals(**found)


@dataclass(frozen=True, slots=True)
class Requeued:
    """An open cohort that needs its job."""

    id: int
    step: str
    due_at: datetime
    turn: int | None
    provider: str | None


async def unclosed(connection: Connection, batch: str) -> list[Requeued]:
    """All open cohorts of a batch."""
    return _requeued(await rows(connection, _Q.standing, batch=batch))


async def unstick(connection: Connection, batch: str) -> list[Requeued]:
    """The stuck cohorts of a batch, which are so no longer."""
    return _requeued(await rows(connection, _Q.unstick, batch=batch))


async def release(connection: Connection, batch: str) -> list[Requeued]:
    """The open cohorts of a cancelled batch, claimed or not, each to be looked at once more."""
    return _requeued(await rows(connection, _Q.release, batch=batch))


def _requeued(found: list[DictRow]) -> list[Requeued]:
    return [Requeued(each["id"], each["step"], each["due_at"], each["turn"], each["provider"]) for each in found]


@dataclass(frozen=True, slots=True)
class Recalled:
    """A cohort that was closed by a cancel, since no worker had it and nothing of it was sent."""

    step: str
    part: Part
    doubt: bool
    asked: bool
    replay: bool


async def close_unclaimed(connection: Connection, batch: str, now: datetime) -> list[Recalled]:
    """Close the cohorts of a batch that no worker has claimed and of which nothing has been sent."""
    found = await rows(connection, _Q.close_standing, batch=batch, now=now)
    return [
        Recalled(each["step"], Part(each["file"], each["size"]), each["doubt"], each["asked"], each["replay"])
        for each in found
    ]


async def leave_out_pause(connection: Connection, batch: str, since: datetime, now: datetime, *, frozen: bool) -> None:
    """A pause since then has ended: it was no time of retries and, where waits were `frozen`, brought none nearer."""
    await connection.execute(_Q.leave_out_pause, {"batch": batch, "since": since, "now": now, "frozen": frozen})


@dataclass(frozen=True, slots=True)
class Retried:
    """A cohort of which an attempt failed and that waits for the next one."""

    id: int
    step: str
    part: Part
    visit: int
    doubt: bool
    replay: bool
    reason: str


async def close_retried(connection: Connection, batch: str, now: datetime) -> list[Retried]:
    """Close the cohorts that only wait for their next attempt, and return them. The caller has the batch locked."""
    found = [
        Retried(part=Part(each.pop("file"), each.pop("size")), **each)
        for each in await rows(connection, _Q.retried, batch=batch)
    ]
    await connection.execute(_Q.close_retried, {"ids": [each.id for each in found], "now": now})
    return found


async def open_cohort(connection: Connection, batch: str, opening: Opening, now: datetime) -> int:
    """Open a cohort and return its id."""
    made = await row(
        connection,
        _Q.open,
        batch=batch,
        step=opening.step,
        file=opening.part.file,
        size=opening.part.size,
        visit=opening.visit,
        attempt=opening.attempt,
        first_tried=opening.first_tried_at,
        due=opening.due_at,
        reason=opening.reason,
        stands=opening.stands,
        doubt=opening.doubt,
        deaths=opening.deaths,
        turn=opening.turn,
        arrived=opening.arrives,
        now=opening.came_at or now,
        entry=(opening.visit == 0 or opening.came_at is not None) and opening.arrives,
        provider=opening.provider,
        sorted_for=opening.sorted_for,
        checks=opening.checks,
        asked=opening.asked,
        before=opening.before,
        entered=opening.entered_at or (now if opening.visit == 0 and opening.arrives else None),
    )
    assert made is not None
    return int(made["id"])


async def entered_files(connection: Connection, batch: str, entry: str) -> list[str]:
    """Files that have the batch's contacts as they entered it at its step `entry`, those that brought them in first.
    Some that follow may repeat contacts, or be gone."""
    return [str(each["file"]) for each in await rows(connection, _Q.entered_files, batch=batch, step=entry)]


async def lock(connection: Connection, cohort: int) -> bool:
    """Lock the cohort until the end of the transaction; False if it is closed."""
    return await row(connection, _Q.lock, id=cohort) is not None


async def claim(connection: Connection, cohort: int, token: str) -> Part | None:
    """Claim the cohort; its contacts as they are under the claim, None if it is closed. A claim before this one is
    void."""
    found = await row(connection, _Q.claim, id=cohort, claim=token)
    return None if found is None else Part(found["file"], found["size"])


async def let_go(connection: Connection, cohort: int, claim: str | None) -> None:
    """Give up this claim, if it still holds."""
    await connection.execute(_Q.let_go, {"id": cohort, "claim": claim})


async def has_windows(connection: Connection, cohort: int) -> bool:
    """Whether a sender has begun to send to this cohort."""
    found = await row(connection, _Q.has_windows, cohort=cohort)
    return bool(found and found["there"])


async def delete_windows(connection: Connection, cohort: int) -> None:
    """Delete the windows of a cohort that is moved."""
    await connection.execute(_Q.delete_windows, {"cohort": cohort})


async def any_standing(connection: Connection, batch: str) -> bool:
    """Whether any contact of the batch stands at a step."""
    found = await row(connection, _Q.any_standing, batch=batch)
    return bool(found and found["there"])


async def note_trouble(connection: Connection, cohort: int, reason: str) -> None:
    """Note a transient error, which says nothing about the cohort itself."""
    await connection.execute(_Q.set_reason, {"id": cohort, "reason": reason})


async def note_failure(connection: Connection, cohort: int, reason: str, limit: int, now: datetime) -> None:
    """Note that the work on the cohort failed; after `limit` times in a row for the same reason it is stuck."""
    await connection.execute(_Q.set_failed, {"id": cohort, "reason": reason, "limit": limit, "now": now})


async def close(connection: Connection, cohort: int, claim: str, now: datetime) -> bool:
    """Close the cohort; False if it was closed before or another claim holds it."""
    return await row(connection, _Q.close, id=cohort, claim=claim, now=now) is not None


def read_contacts(path: Path) -> pa.Table:
    """The contacts of a cohort's file, with the columns of `CONTACTS`."""
    return pq.read_table(path, schema=CONTACTS)


def write_contacts(table: pa.Table, path: Path) -> None:
    """Write contacts as a cohort's file."""
    # Ids and properties hardly repeat: a dictionary would be built in vain, at half of the time that writing takes.
    pq.write_table(table, path, compression="snappy", use_dictionary=False, row_group_size=16_384)


def line_range(table: pa.Table) -> tuple[int, int]:
    """The lowest and the highest line of some contacts."""
    ends = pc.min_max(table["line"]).as_py()
    return ends["min"], ends["max"]


def with_lines(name: str, first: int, last: int) -> str:
    """The name of a file that says which lines are in it, so that one contact is found without opening them all."""
    return f"{name.removesuffix('.parquet')}-l{first}-{last}.parquet"


def may_hold(name: str, line: int) -> bool:
    """Whether the file of this name can have the contact at this line."""
    found = _LINES.search(name)
    return found is None or int(found[1]) <= line <= int(found[2])


def slices(table: pa.Table, first: int, size: int) -> Iterator[dict[str, Any]]:
    """Some rows of a table of contacts, one dict each."""
    yield from table.slice(first, size).to_pylist()


@dataclass(frozen=True, slots=True)
class WithoutJob:
    """A cohort that should have a job and has none, and the version of the journey that it is in."""

    id: int
    step: str
    due_at: datetime
    turn: int | None
    provider: str | None
    customer: int
    journey: int
    version: int


async def without_job(connection: Connection, due_before: datetime) -> list[WithoutJob]:
    """The cohorts that have been due since then, could go on, and have no job that would make them."""
    return [
        WithoutJob(
            each["id"],
            each["step"],
            each["due_at"],
            each["turn"],
            each["provider"],
            each["customer_id"],
            each["journey_id"],
            each["version"],
        )
        for each in await rows(connection, _Q.without_job, now=due_before)
    ]


async def note_death(connection: Connection, cohort: int, reason: str, limit: int) -> int:
    """A worker that had claimed the cohort died; how many did so in a row. At `limit` the cohort is stuck."""
    found = await row(connection, _Q.note_death, id=cohort, reason=reason, limit=limit)
    return int(found["deaths"]) if found else 0
