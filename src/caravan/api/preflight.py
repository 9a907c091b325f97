"""The preflight of a batch that is held for review: what it would do if it were resumed now."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from caravan.api.access import ACustomer, AnEngine
from caravan.api.answers import Answer, moment
from caravan.delivery.message_step import ShownMessage
from caravan.intake.rejects import RejectCode
from caravan.queries.preflight import (
    LOOKED_AT,
    SAMPLES,
    AtHours,
    Branch,
    Exit,
    Messages,
    Preflight,
    Segments,
    preflight,
)

router = APIRouter(tags=["batches"])
_CHARACTERS = 5  # that are told, the most frequent ones


class BranchAnswer(Answer):
    """How many contacts take one way at a split or an A/B step."""

    step: str
    to: str | None = Field(description="The step; null is the end of the journey.")
    contacts: int
    as_of: datetime | None = Field(None, description="Only where a condition asks for the time: what it was taken for.")


class ExitAnswer(Answer):
    """How many contacts leave the journey at one step, by a condition of its `goal` or `exit_when`."""

    step: str
    outcome: Literal["goal", "exited"]
    rule: str = Field(description="The condition, in words.")
    contacts: int


class SizeAnswer(Answer):
    """What a text message takes."""

    segments: int
    encoding: str = Field(description="GSM-7 or UCS-2.")
    because: str | None = Field(None, description="The first character that GSM-7 can't write.")


class SegmentsAnswer(Answer):
    """What the text messages of a step take, those that were looked at."""

    total: int
    most: int = Field(description="Of one message.")
    encodings: dict[str, int] = Field(description="How many messages go out in which encoding.")
    because: dict[str, int] = Field(description="The characters that GSM-7 can't write, and in how many messages.")


class SampleAnswer(Answer):
    """One message as its reader would see it; null for what its channel does not have."""

    contact: str
    to: str
    subject: str | None
    text: str | None
    html: str | None
    size: SizeAnswer | None = Field(None, description="Only of text messages.")


class HoursAnswer(Answer):
    """What the hours of the step would mean, were the messages sent now."""

    closed: int = Field(description="Contacts for whom it is too early, or too late today.")
    no_zone: int = Field(description="Contacts that name no time zone, so that the default holds.")
    otherwise: Literal["wait", "skip"] = Field(description="What becomes of the first.")


class MessagesAnswer(Answer):
    """What would come of the messages of one step."""

    step: str
    no_recipient: int = Field(description="Contacts without a usable recipient.")
    missing: dict[str, int] = Field(description="Placeholders that come out empty, and for how many contacts.")
    samples: list[SampleAnswer] = Field(description=f"At most {SAMPLES}, or that of the contact that was asked for.")
    looked: int | None = Field(
        None, description=f"Only where some {LOOKED_AT:,} of more contacts were looked at: how many, evenly spread."
    )
    failed: dict[str, int] | None = Field(
        None, description="Only where messages can't be written for another reason: why, and for how many contacts."
    )
    segments: SegmentsAnswer | None = Field(None, description="Only of text messages.")
    hours: HoursAnswer | None = Field(None, description="Only of steps that have a `send_window`.")


class PreflightAnswer(Answer):
    """What was read of a batch that is held, and what would follow."""

    accepted: int
    rejected: dict[RejectCode, int] = Field(description="Refused rows by reason.")
    branches: list[BranchAnswer] = Field(description="All ways of all splits and A/B steps; contacts counted exactly.")
    messages: list[MessagesAnswer] = Field(description="All message steps, in the order of the journey file.")
    exits: list[ExitAnswer] | None = Field(
        None, description="Only where conditions of `goal` or `exit_when` are true of some; contacts counted exactly."
    )


@router.get("/batches/{batchid}/preflight", response_model=PreflightAnswer)
async def show_preflight(
    batchid: str,
    customer: ACustomer,
    engine: AnEngine,
    contact: Annotated[str | None, Query(description="The samples are this contact's messages.")] = None,
) -> JSONResponse:
    """What a batch that is held for review would do if it were resumed now."""
    return JSONResponse(preflight_answer(await preflight(engine, customer, batchid, contact)))


def preflight_answer(found: Preflight) -> dict[str, Any]:
    """A preflight as the API answers it (`PreflightAnswer`)."""
    return {
        "accepted": found.accepted,
        "rejected": found.rejected,
        "branches": [_branch(each) for each in found.branches],
        "messages": [_messages(each) for each in found.messages],
        **({"exits": [_exit(each) for each in found.exits]} if found.exits else {}),
    }


def _exit(found: Exit) -> dict[str, Any]:
    return {"step": found.step, "outcome": found.outcome, "rule": found.rule, "contacts": found.contacts}


def _branch(branch: Branch) -> dict[str, Any]:
    as_of = {"asOf": moment(branch.as_of)} if branch.as_of is not None else {}
    return {"step": branch.step, "to": branch.to, "contacts": branch.contacts, **as_of}


def _messages(messages: Messages) -> dict[str, Any]:
    looked = {"looked": messages.looked} if messages.looked < messages.contacts else {}
    failed = {"failed": messages.failures} if messages.failed else {}
    return {
        "step": messages.step,
        "noRecipient": messages.no_recipient,
        "missing": dict(messages.missing),
        "samples": [_sample(contact, shown) for contact, shown in messages.samples],
        **looked,
        **failed,
        **({} if messages.segments is None else {"segments": _segments(messages.segments)}),
        **({} if messages.hours is None else {"hours": _hours(messages.hours)}),
    }


def _hours(found: AtHours) -> dict[str, Any]:
    return {"closed": found.closed, "noZone": found.no_zone, "otherwise": "skip" if found.skips else "wait"}


def _segments(found: Segments) -> dict[str, Any]:
    because = dict(found.because.most_common(_CHARACTERS))
    return {"total": found.total, "most": found.most, "encodings": dict(found.encodings), "because": because}


def _sample(contact: str, shown: ShownMessage) -> dict[str, Any]:
    found = {"contact": contact, **asdict(shown)}
    return found if shown.size is not None else {name: each for name, each in found.items() if name != "size"}
