"""A test of a message step: what a contact would get, sent to an address of the caller's choice."""

import json

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caravan.access.test_sends import send_as
from caravan.access.users import email_of
from caravan.api.access import ACustomer, AnEngine, actor_of
from caravan.api.answers import Answer
from caravan.api.calls import key_of, once, read_body, read_object
from caravan.api.definition import JourneyId
from caravan.api.spelling import check_members
from caravan.delivery.result import Result
from caravan.engine.commence import accept
from caravan.engine.engine import Engine
from caravan.errors import InvalidInput
from caravan.store import journeys
from caravan.store.database import Connection
from caravan.store.idempotency import Answer as Kept

router = APIRouter(tags=["journeys"])


class TestSend(BaseModel):
    """The message of a step for a contact, to an address."""

    model_config = ConfigDict(strict=True, extra="ignore")

    step: str = Field(description="An email or SMS step of the journey.")
    to: str = Field(description="The address or the number that gets it, instead of the contact's.")
    contact: dict[str, object] = Field(description='`{"id", "properties"}`, as for the single starter.')
    version: int | None = Field(None, gt=0, lt=2**31, description="Of the journey; the newest by default.")


class TestSent(Answer):
    """What came of it."""

    result: Result
    detail: str = Field(description="What the relay answered, or where the sandbox keeps it.")


_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": TestSend.model_json_schema()}}}}


@router.post("/journeys/{journeyid}/test", response_model=TestSent, openapi_extra=_BODY)
async def test_journey(
    request: Request, customer: ACustomer, engine: AnEngine, journeyid: int = JourneyId
) -> JSONResponse:
    """Send what a contact would get at an email or SMS step to another address, with `[Test]` before subject or text.

    It goes through the channel itself; no gate holds it, no ledger counts it. 429 after twenty within ten minutes.
    """
    body = await read_body(request)

    async def work(connection: Connection | None = None) -> Kept:
        return Kept(200, await _send(request, engine, customer, journeyid, body))

    if key_of(request, customer, body) is None:  # no connection is kept while the relay thinks
        return JSONResponse((await work()).body)
    return await once(request, engine, customer, body, work, recorded=False)  # `send_as` does so


async def _send(request: Request, engine: Engine, customer: int, journeyid: int, body: bytes) -> dict[str, str]:
    wanted = _read(body)
    contact = accept(_written(wanted.contact), engine.settings.max_row_bytes)
    async with engine.pool.connection() as connection:
        version = wanted.version or (await journeys.latest(connection, customer, journeyid)).version
        journey = await engine.journeys.get(connection, customer, journeyid, version)
    to = email_of(wanted.to) if journey.step(wanted.step).kind == "email" else wanted.to.strip()
    sent = await send_as(engine, actor_of(request), journey, wanted.step, contact, to)
    return {"result": sent.result, "detail": sent.detail}


def _read(body: bytes) -> TestSend:
    content = read_object(body)
    check_members(content, TestSend)
    try:
        return TestSend.model_validate(content)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)]
        raise InvalidInput(f"The body can't be used: {'; '.join(wrong)}.") from None


def _written(contact: dict[str, object]) -> bytes:
    """The contact as a row of a file."""
    try:
        return json.dumps(contact, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInput("The contact holds half of a surrogate pair.") from None
