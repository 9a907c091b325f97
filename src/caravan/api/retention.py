"""For how long the contacts of a customer's ended batches are kept."""

from fastapi import APIRouter, Request
from pydantic import Field, ValidationError

from caravan.access import audit
from caravan.api.access import ACustomer, AnEngine, actor_of
from caravan.api.answers import Answer
from caravan.api.calls import faults, read_body, read_object
from caravan.api.spelling import check_members
from caravan.engine import retention
from caravan.engine.engine import Engine
from caravan.errors import InvalidInput
from caravan.store import customers
from caravan.store.database import single

router = APIRouter(tags=["retention"])


class RetentionAnswer(Answer):
    """Days after the end of a batch."""

    days: int = Field(description="For which contacts, rejects and journal of an ended batch are kept.")
    own: int | None = Field(description="The days that are set for this customer; null: as the installation is set.")


class RetentionGiven(Answer):
    """What is to be set."""

    days: int | None = Field(strict=True, description="Null: as the installation is set.")


_SCHEMA = RetentionGiven.model_json_schema()
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


@router.get("/retention", response_model=RetentionAnswer)
async def get_retention(customer: ACustomer, engine: AnEngine) -> RetentionAnswer:
    """For how long contacts are kept."""
    return await _told(engine, customer)


@router.put("/retention", response_model=RetentionAnswer, openapi_extra=_BODY)
async def set_retention(request: Request, customer: ACustomer, engine: AnEngine) -> RetentionAnswer:
    """Set for how long contacts are kept. With fewer days, what is older is deleted within minutes."""
    content = read_object(await read_body(request))
    check_members(content, RetentionGiven, closed=True)
    try:
        days = RetentionGiven.model_validate(content).days
    except ValidationError as error:
        raise InvalidInput(f'The body can\'t be used: {faults(error)}. Send an object like {{"days": 90}}.') from None
    async with engine.pool.connection() as connection, connection.transaction():
        await retention.set_days(connection, customer, days)
        await audit.record(connection, actor_of(request), "set_retention", f"customer {customer}", {"days": days})
    return await _told(engine, customer)


async def _told(engine: Engine, customer: int) -> RetentionAnswer:
    async with single(engine.pool) as connection:
        own = await customers.retention_of(connection, customer)
    return RetentionAnswer(days=engine.settings.retention_days if own is None else own, own=own)
