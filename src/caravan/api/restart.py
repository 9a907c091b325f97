"""Starting again with some contacts of a batch, as a new batch."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caravan.access import audit
from caravan.api.access import ACustomer, AnEngine, actor_of
from caravan.api.answers import BatchAnswer, batch_answer
from caravan.api.batchtrigger import Options
from caravan.api.calls import faults, once, read_body, read_object
from caravan.api.spelling import check_members
from caravan.engine.restart import restart
from caravan.errors import InvalidInput
from caravan.queries.batch import batch_report
from caravan.store.database import Connection
from caravan.store.idempotency import Answer
from caravan.store.ledger import Outcome

router = APIRouter(tags=["batches"])


class Restart(BaseModel):
    """Whom the new batch starts with. All members are ours, so one that is not known is refused."""

    model_config = ConfigDict(strict=True, extra="forbid")

    outcome: str = Field(description=f"How they left a step: {', '.join(Outcome)}.")
    step: str | None = Field(None, description="Which step; without it any, and each contact once.")
    options: Options = Field(default_factory=lambda: Options(freezeWaits=False, hold=False, expires=None))


_SCHEMA = Restart.model_json_schema()
_SCHEMA["properties"]["options"] = _SCHEMA.pop("$defs")["Options"]
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


@router.post("/batches/{batchid}/restart", response_model=BatchAnswer, openapi_extra=_BODY)
async def restart_batch(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """A new batch of those contacts that have left a step with this outcome by now, with the properties with which they
    entered, in the newest version of the same journey. It starts at once, unless `options.hold` says otherwise."""
    body = await read_body(request)

    async def work(connection: Connection) -> Answer:
        wanted = _read(body)
        made = await restart(
            engine,
            connection,
            customer,
            batchid,
            wanted.outcome,
            wanted.step,
            freeze_waits=wanted.options.freeze_waits,
            hold=wanted.options.hold,
            expires=wanted.options.expires,
        )
        await audit.record(connection, actor_of(request), "open", f"batch {made.id}", {"restart_of": batchid})
        return Answer(200, batch_answer(await batch_report(engine, connection, customer, made.id)))

    return await once(request, engine, customer, body, work)


def _read(body: bytes) -> Restart:
    content = read_object(body)
    check_members(content, Restart, closed=True)
    if isinstance(options := content.get("options"), dict):
        check_members(options, Options, closed=True)
    try:
        return Restart.model_validate(content)
    except ValidationError as error:
        raise InvalidInput(
            f'The body can\'t be used: {faults(error)}. Send an object like {{"outcome": "failed", "step": "offer"}}.'
        ) from None
