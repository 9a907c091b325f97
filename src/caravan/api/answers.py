"""What calls answer, as types: /openapi.json is made of them."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from caravan.intake.rejects import RejectCode
from caravan.queries.batch import BatchReport
from caravan.queries.waiting import Kind, Remedy
from caravan.store.batches import BatchState, Choice, Starter


class Answer(BaseModel):
    """A JSON object whose members are written in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class StepLine(Answer):
    """One step's line of the ledger: arrived = standing + the sum of outcomes."""

    step: str
    arrived: int = Field(description="Contacts that have come to this step.")
    standing: int = Field(description="Those of them that are there still.")
    outcomes: dict[str, int] = Field(description="Those that have left it, by outcome.")


class LedgerAnswer(Answer):
    """lines = entered + rejected + blank."""

    lines: int
    blank: int
    entered: int
    rejected: dict[RejectCode, int] = Field(description="Refused rows by reason.")
    steps: list[StepLine] = Field(description="In the order of the journey file.")


class WaitingAnswer(Answer):
    """What the batch waits for."""

    kind: Kind
    step: str | None
    contacts: int | None
    since: datetime | None
    until: datetime | None
    reason: str | None
    remedy: Remedy | None = Field(description="What helps: POST batches/{id}/retry or /resume, or the PUT of the file.")


class RestartAnswer(Answer):
    """Whose contacts a batch started again with: those of another batch that left a step with an outcome."""

    batch: str
    outcome: str
    step: str | None = Field(description="Null: at any step.")


class BatchAnswer(Answer):
    """A batch and its ledger, at one moment."""

    id: str
    state: BatchState
    starter: Starter
    journey: int = Field(description="The journey's number (entityId).")
    name: str = Field(description="The journey's name.")
    version: int | None = Field(description="The version of the journey that its contacts walk; null until it is read.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    sends_until: datetime | None = Field(description="Nothing of it is sent from then on.")
    error: str | None = Field(description="Why the batch failed: its code and one sentence.")
    error_code: str | None
    waiting_for: str | None = Field(description="What it waits for, in words; every step at which contacts stand.")
    waiting: WaitingAnswer | None = Field(description="The most pressing of what it waits for.")
    stuck: int = Field(description="Contacts that only a retry by command takes up again.")
    idle: bool = Field(description="Nothing is moved or sent before the time of a wait comes.")
    restart_of: RestartAnswer | None = Field(description="Of a batch that POST batches/{id}/restart made.")
    moved_from: str | None = Field(description="The batch in an older version whose waiting contacts it has.")
    ledger: LedgerAnswer


class BatchEvent(BatchAnswer):
    """The data of a server-sent event."""

    rate: float = Field(description="Contacts a second that left a step over the last ten seconds.")


class Triggered(Answer):
    """A batch was opened. With a `downloadUrl` there is nothing to upload, and the batch starts by itself."""

    batch_id: str
    upload_url: str | None = Field(None, description="PUT the file here; the URL is signed and needs no token.")
    expires_at: datetime | None = Field(None, description="The uploadUrl takes a PUT that begins before.")


class Uploaded(Answer):
    """The file is stored durably, and its batch starts by itself."""

    batch_id: str
    bytes: int
    sha256: str


class JourneyAnswer(Answer):
    """A journey and its newest version."""

    journey: int
    name: str
    version: int
    published_at: datetime


class BatchesChanged(Answer):
    """What a change of a journey did to its batches."""

    journey: int
    batches: list[str] = Field(description="The batches that were changed.")


class Commenced(Answer):
    """A contact that has entered, stored durably."""

    contact_id: str
    batch_id: str


class Healthy(Answer):
    """All is well."""

    status: str


class Ready(Healthy):
    """All calls can be served."""

    mail: str  # "relay", or "sandbox: …" where nothing is sent


class ProblemLine(Answer):
    """One thing that is wrong in a journey file, or, as a warning, hardly meant."""

    line: int = Field(description="1-based; 0 where the problem has no place.")
    where: str
    message: str


class Problem(Answer):
    """Why a call was not served (RFC 9457)."""

    title: str
    status: int
    detail: str = Field(description="One sentence that says what to do.")
    error: str = Field(description="The same sentence, for clients of the wire protocol.")
    problems: list[ProblemLine] | None = Field(None, description="With 422: all that is wrong in a journey file.")
    warnings: list[ProblemLine] | None = Field(None, description="With 422: what is allowed in it and hardly meant.")


class Published(Answer):
    """A version of a journey that was published."""

    journey: int
    name: str
    version: int
    warnings: list[ProblemLine] = Field(description="What is allowed in the definition and hardly meant, by line.")


class VersionAnswer(Answer):
    """One version of a journey."""

    version: int
    name: str
    published_at: datetime


class RejectLine(Answer):
    """A refused row."""

    line: int
    offset: int = Field(description="The byte at which the row begins in the expanded file; -1 for `reentry_refused`.")
    code: RejectCode
    message: str
    row: str = Field(description="The first 200 characters of the row.")


class JournalLine(Answer):
    """What happened to one contact at one step."""

    contact: str
    line: int
    step: str
    outcome: str = Field(description="An outcome; with `contact` also `standing` or `retrying`.")
    at: datetime
    detail: str | None


class ValueAnswer(Answer):
    """A property that a condition looked at."""

    property: str = Field(description="Its name, with points between; `id` is the contact's own id.")
    value: str | None = Field(description="Its text as it came; null if it is missing or null.")
    as_: Literal["number", "time", "truth", "text"] = Field(alias="as", description="What it was read as.")
    read: str | float | bool | None = Field(description="What was compared; null also if it can't be read so.")


class ConditionAnswer(Answer):
    """A condition of a split."""

    if_: str = Field(alias="if")
    to: str
    true: bool
    values: list[ValueAnswer]


class ArmAnswer(Answer):
    """An arm of an A/B step."""

    weight: float
    to: str


class WhyAnswer(Answer):
    """How a split or an A/B step chose, computed anew by the journey's version at the time of the journal."""

    decided: int | None = Field(description="The condition or arm that decided, from 0; null: no condition was true.")
    to: str | None = Field(description="Where that leads; null is the journey's end.")
    agrees: bool = Field(description="Whether the contact went there; a condition on now() can differ by moments.")
    conditions: list[ConditionAnswer] = Field(description="Of a split, in the order in which they are tried.")
    arms: list[ArmAnswer] = Field(description="Of an A/B step.")
    share: float | None = Field(
        description="Of an A/B step: where from 0 to 1 the hash of contact and step stands; each arm owns a stretch."
    )


class StayAnswer(Answer):
    """The contact at one step."""

    step: str
    at: datetime
    outcome: str = Field(description="An outcome, or `standing` or `retrying`.")
    detail: str | None = Field(description="What the other side answered, or where the contact went.")
    why: WhyAnswer | None = Field(description="Of steps that choose, once the contact has passed them.")


class EntryAnswer(Answer):
    """A contact's way through one batch."""

    batch: str
    journey: int
    version: int
    line: int
    properties: dict[str, Any] | None = Field(description="Null if no file that is still kept has them.")
    stays: list[StayAnswer]


class LookedAnswer(Answer):
    """How far was looked."""

    batches: int = Field(description="The newest so many batches were looked through.")
    of: int = Field(description="All batches whose contacts are kept.")


class ContactAnswer(Answer):
    """What happened to one contact, in order of time."""

    id: str
    entries: list[EntryAnswer]
    looked: LookedAnswer


def batch_answer(found: BatchReport) -> dict[str, Any]:
    """A batch as the API answers it (`BatchAnswer`)."""
    batch = found.batch
    return {
        "id": batch.id,
        "state": batch.shown_state,
        "starter": batch.starter,
        "journey": batch.journey_id,
        "name": found.name,
        "version": batch.version,
        "createdAt": moment(batch.created_at),
        "startedAt": moment(batch.started_at),
        "finishedAt": moment(batch.finished_at),
        "sendsUntil": moment(batch.sends_until),
        "error": f"{batch.error_code}: {batch.error}" if batch.error_code else batch.error,
        "errorCode": batch.error_code,
        "waitingFor": found.waiting_for,
        "waiting": _waiting(found),
        "stuck": found.stuck,
        "idle": found.idle,
        "restartOf": _restart_of(batch.restarts),
        "movedFrom": batch.moved_from,
        "ledger": asdict(found.ledger),
    }


def _restart_of(chosen: Choice | None) -> dict[str, Any] | None:
    return None if chosen is None else {"batch": chosen.batch, "outcome": chosen.outcome, "step": chosen.step}


def _waiting(found: BatchReport) -> dict[str, Any] | None:
    if not found.waits:
        return None
    first = found.waits[0]
    return {
        "kind": first.kind,
        "step": first.step,
        "contacts": first.contacts,
        "since": moment(first.since),
        "until": moment(first.until),
        "reason": first.reason,
        "remedy": first.remedy,
    }


def moment(at: datetime | None) -> str | None:
    """A moment as RFC 3339 writes it."""
    return at.isoformat() if at else None
