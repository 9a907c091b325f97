"""Dead letters of webhooks: listing them, and sending them once more."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caravan import lists
from caravan.api.access import ACustomer, AnEngine
from caravan.api.answers import BatchAnswer, JournalLine, batch_answer
from caravan.api.batches import LINE, LINE_COLUMNS, kept
from caravan.api.calls import once, read_body, read_object
from caravan.api.lists import AFormat, form_of
from caravan.api.streams import listed, lists_of
from caravan.engine.dead_letters import replay, replay_one
from caravan.engine.engine import Engine
from caravan.errors import InvalidInput
from caravan.lists import Form
from caravan.queries.batch import batch_report
from caravan.queries.dead_letters import read_letters
from caravan.store import dead_letters
from caravan.store.batches import Batch
from caravan.store.database import Connection
from caravan.store.idempotency import Answer

router = APIRouter(tags=["batches"])


class Replay(BaseModel):
    """What is to be sent once more: all that failed at a step, which are `count`, or one contact."""

    model_config = ConfigDict(extra="forbid")

    step: str
    count: int | None = Field(None, ge=1, description="How many dead letters the step has.")
    contact: str | None = Field(None, description="Only those of this contact, instead of `count`.")


@router.get("/batches/{batchid}/dead-letters", response_class=StreamingResponse, responses=lists_of(JournalLine))
async def list_dead_letters(
    request: Request,
    batchid: str,
    customer: ACustomer,
    engine: AnEngine,
    step: Annotated[str | None, Query(description="Only those of this step.")] = None,
    format: AFormat = None,
) -> StreamingResponse:
    """Whom a webhook step could not reach, for good: all that can be sent once more."""
    return await letters_list(engine, await kept(engine, customer, batchid), form_of(request, format), step)


async def letters_list(engine: Engine, batch: Batch, form: Form, step: str | None) -> StreamingResponse:
    """The dead letters of a batch, or of one step of it, as a file."""
    async with engine.pool.connection() as connection:
        letters = await dead_letters.of_batch(connection, batch.id, step)
    pieces = lists.pieces(form, LINE_COLUMNS, (list(map(LINE, some)) for some in read_letters(engine.files, letters)))
    return await listed(pieces, lambda: kept(engine, batch.customer_id, batch.id), form, f"{batch.id}-dead-letters")


@router.post("/batches/{batchid}/dead-letters/replay", response_model=BatchAnswer)
async def replay_dead_letters(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Send them once more, with the same keys: all of a step, if `count` says how many there are, or those of a
    `contact`. They stand at the step again, and go no further from it."""
    body = await read_body(request)
    asked = _read(body)

    async def work(connection: Connection) -> Answer:
        if asked.contact is not None:
            await replay_one(engine, connection, customer, batchid, asked.step, asked.contact)
        else:
            await replay(engine, connection, customer, batchid, asked.step, asked.count or 0)
        return Answer(200, batch_answer(await batch_report(engine, connection, customer, batchid)))

    return await once(request, engine, customer, body, work)


def _read(body: bytes) -> Replay:
    try:
        asked = Replay.model_validate(read_object(body))
    except ValidationError:
        asked = None
    if asked is None or (asked.count is None) == (asked.contact is None):
        raise InvalidInput('Send {"step": "tell", "count": 17} for all of a step, or {"step": "tell", "contact": "7"}.')
    return asked
