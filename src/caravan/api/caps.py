"""Frequency caps: how many messages a recipient gets on a channel."""

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caravan.access import audit
from caravan.api.access import ACustomer, AnEngine, actor_of
from caravan.api.calls import faults, read_body, read_object
from caravan.api.channel_answers import ChannelAnswer
from caravan.api.channels import told
from caravan.api.spelling import check_members
from caravan.engine.caps import make_cap, set_cap
from caravan.errors import InvalidInput

router = APIRouter(tags=["channels"])


class CapGiven(BaseModel):
    """A cap as a caller gives it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    most: int = Field(description="Messages to a recipient, from 1 to 100.")
    period: str = Field(description="In any period of this length, like 7 days or 24 hours; from an hour to 90 days.")
    otherwise: Literal["skip", "wait"] = Field(
        "skip", description="What is over the cap is left out (`capped`), or stands until there is room."
    )


_CAP = {"requestBody": {"required": True, "content": {"application/json": {"schema": CapGiven.model_json_schema()}}}}


@router.put("/channels/{channel}/cap", response_model=list[ChannelAnswer], openapi_extra=_CAP)
async def put_cap(request: Request, channel: str, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Set how many messages a recipient of this customer gets on the channel, transactional ones aside. What is sent
    from now on counts. It holds within a second."""
    given = _read(await read_body(request))
    cap = make_cap(given.most, given.period, waits=given.otherwise == "wait")
    async with engine.pool.connection() as connection, connection.transaction():
        await set_cap(engine, connection, customer, channel, cap)
        await audit.record(connection, actor_of(request), "cap", f"channel {channel}", given.model_dump())
    return await told(engine, customer)


@router.delete("/channels/{channel}/cap", response_model=list[ChannelAnswer])
async def end_cap(request: Request, channel: str, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Let a recipient get any number of messages on the channel. Who stands for the cap is sent to."""
    async with engine.pool.connection() as connection, connection.transaction():
        await set_cap(engine, connection, customer, channel, None)
        await audit.record(connection, actor_of(request), "cap", f"channel {channel}", None)
    return await told(engine, customer)


def _read(body: bytes) -> CapGiven:
    content = read_object(body)
    check_members(content, CapGiven, closed=True)
    try:
        return CapGiven.model_validate(content)
    except ValidationError as error:
        raise InvalidInput(
            f'The body can\'t be used: {faults(error)}. Send an object like {{"most": 3, "period": "7 days"}}.'
        ) from None
