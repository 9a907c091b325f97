"""The preflight of a batch that is held for review: what it would do if it were resumed now."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from caravan.api.access import ACustomer, AnEngine
from caravan.api.answers import Answer, moment
from caravan.intake.rejects import RejectCode
from caravan.queries.preflight import LOOKED_AT, SAMPLES, Branch, Messages, Preflight, preflight

router = APIRouter(tags=["batches"])


class BranchAnswer(Answer):
    """How many contacts take one way at a split or an A/B step."""

    step: str
    to: str | None = Field(description="The step; null is the end of the journey.")
    contacts: int
    as_of: datetime | None = Field(None, description="Only where a condition asks for the time: what it was taken for.")


class SampleAnswer(Answer):
    """One message as its reader would see it; null for what its channel does not have."""

    contact: str
    to: str
    subject: str | None
    text: str | None
    html: str | None


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


class PreflightAnswer(Answer):
    """What was read of a batch that is held, and what would follow."""

    accepted: int
    rejected: dict[RejectCode, int] = Field(description="Refused rows by reason.")
    branches: list[BranchAnswer] = Field(description="All ways of all splits and A/B steps; contacts counted exactly.")
    messages: list[MessagesAnswer] = Field(description="All message steps, in the order of the journey file.")


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
    }


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
        "samples": [{"contact": contact, **asdict(shown)} for contact, shown in messages.samples],
        **looked,
        **failed,
    }
