"""Forgetting a contact: nothing is kept of it any more."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from caravan.access import audit
from caravan.api.access import ACustomer, AnEngine, actor_of
from caravan.api.answers import Answer
from caravan.engine.erasure import request as request_erasure
from caravan.store import erasures
from caravan.store.database import Connection, single
from caravan.store.erasures import Erasure

router = APIRouter(tags=["contacts"])


class Erased(Answer):
    """How much was erased so far."""

    batches: int = Field(0, description="In which the contact was, or was refused.")
    rows: int = Field(0, description="Of files of contacts, journals and rejects.")
    events: int = 0
    returns: int = Field(0, description="Bounces, complaints and replies; that there were some stays counted.")
    hits: int = Field(0, description="Of opens and clicks.")
    messages: int = Field(0, description="Kept in the sandbox.")
    suppressions: int = Field(0, description="They stand on, and tell nobody any more whose they are.")


class ErasureAnswer(Answer):
    """A contact that is forgotten."""

    id: int
    state: Literal["pending", "finished"]
    contact_id: str | None = Field(description="Null once it is finished.")
    requested_at: datetime
    finished_at: datetime | None
    waiting_for: str | None = Field(description="Why it is not finished, where that is known.")
    erased: Erased


@router.delete("/contacts/{contactid:path}", response_model=ErasureAnswer, status_code=202)
async def forget_contact(contactid: str, request: Request, customer: ACustomer, engine: AnEngine) -> ErasureAnswer:
    """Forget a contact: its id, properties, messages and events are deleted in all batches within some seconds.

    Line numbers, outcomes and counts stay. In batches that run it gets nothing more. Suppressions of its addresses
    stand on as hashes, so that nobody is written to who does not want it. Whether there was such a contact is known
    once it is finished."""

    async def note(connection: Connection, erasure: int) -> None:
        await audit.record(connection, actor_of(request), "forget_contact", f"erasure {erasure}")

    return _answer(await request_erasure(engine, customer, contactid, note))


@router.get("/erasures/{erasureid}", response_model=ErasureAnswer)
async def show_erasure(erasureid: int, customer: ACustomer, engine: AnEngine) -> ErasureAnswer:
    """How far the forgetting of a contact is."""
    async with single(engine.pool) as connection:
        return _answer(await erasures.of_customer(connection, customer, erasureid))


def _answer(found: Erasure) -> ErasureAnswer:
    return ErasureAnswer(
        id=found.id,
        state="pending" if found.finished_at is None else "finished",
        contact_id=found.contact,
        requested_at=found.requested_at,
        finished_at=found.finished_at,
        waiting_for=found.waiting_for,
        erased=Erased(**found.erased),
    )
