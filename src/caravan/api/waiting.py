"""Those who wait in older versions of a journey: whether they can move into a newer one, and moving them."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caravan.api.access import ACustomer, AnEngine
from caravan.api.answers import Answer
from caravan.api.calls import faults, once, read_body, read_object
from caravan.api.definition import DEFINITION, JourneyId, read_source
from caravan.api.spelling import check_members
from caravan.engine import moving
from caravan.engine.moving import Waiting
from caravan.engine.publish import read_draft
from caravan.errors import InvalidInput
from caravan.store import idempotency, journeys
from caravan.store.database import Connection

router = APIRouter(tags=["journeys"])

Reschedule = Query(False, description="As the move would have it: waits that differ begin anew.")


class MoveOptions(BaseModel):
    """How those who wait move. All members are ours, so one that is not known is refused."""

    model_config = ConfigDict(strict=True, extra="forbid")

    reschedule: bool = Field(
        False, description="They wait as the newest version says, from when they came to the step; else as before."
    )


_OPTIONS = {"requestBody": {"content": {"application/json": {"schema": MoveOptions.model_json_schema()}}}}


class StandingContacts(Answer):
    """Contacts that stand at a step in an older version."""

    version: int
    step: str
    contacts: int
    moves: bool
    changed: bool = Field(description="Of those that move: the step is another one in the newer version.")
    why: str | None = Field(description="Of those that don't: what keeps them where they are.")


class MovesAnswer(Answer):
    """Who would move, or moves, into a version of a journey."""

    journey: int
    version: int
    steps: list[StandingContacts]


@router.get("/journeys/{journeyid}/waiting", response_model=MovesAnswer)
async def show_waiting(
    customer: ACustomer, engine: AnEngine, journeyid: int = JourneyId, reschedule: bool = Reschedule
) -> dict[str, Any]:
    """Who stands at which step in older versions of the journey, and who of them would move into the newest one."""
    async with engine.pool.connection() as connection:
        newest = await journeys.latest(connection, customer, journeyid)
        journey = await engine.journeys.get(connection, customer, journeyid, newest.version)
        found = await moving.looked(engine, connection, customer, journey, newest.version, reschedule=reschedule)
    return _answer(journeyid, newest.version, found)


@router.post("/journeys/{journeyid}/waiting", response_model=MovesAnswer, openapi_extra=DEFINITION)
async def foresee_waiting(
    request: Request,
    customer: ACustomer,
    engine: AnEngine,
    journeyid: int = JourneyId,
    reschedule: bool = Reschedule,
) -> dict[str, Any]:
    """The same for a definition (YAML or JSON) that is not published yet: who would move into it. Nothing changes."""
    source = await read_source(request)
    draft = await read_draft(engine, customer, source, journeyid)
    async with engine.pool.connection() as connection:
        version = (await journeys.latest(connection, customer, journeyid)).version + 1
        found = await moving.looked(engine, connection, customer, draft.journey, version, reschedule=reschedule)
    return _answer(journeyid, version, found)


@router.post("/journeys/{journeyid}/move-waiting", response_model=MovesAnswer, status_code=202, openapi_extra=_OPTIONS)
async def move_waiting(
    request: Request, customer: ACustomer, engine: AnEngine, journeyid: int = JourneyId
) -> JSONResponse:
    """Move those who wait in older versions of the journey into the newest one, at the step at which they stand.

    It is done within seconds: they leave their batch as `moved`, and enter one of the newest version. The answer says
    who moves, and who does not and why."""
    body = await read_body(request)
    wanted = _read(body)
    detail: dict[str, Any] = {"reschedule": wanted.reschedule}

    async def work(connection: Connection) -> idempotency.Answer:
        version, found = await moving.request(engine, connection, customer, journeyid, reschedule=wanted.reschedule)
        detail.update(version=version, contacts=sum(each.contacts for each in found if each.moves))
        return idempotency.Answer(202, _answer(journeyid, version, found))

    return await once(request, engine, customer, body, work, detail)


def _read(body: bytes) -> MoveOptions:
    content = read_object(body) if body else {}
    check_members(content, MoveOptions, closed=True)
    try:
        return MoveOptions.model_validate(content)
    except ValidationError as error:
        raise InvalidInput(faults(error)) from None


def _answer(journey: int, version: int, found: Sequence[Waiting]) -> dict[str, Any]:
    steps = [
        {
            "version": each.version,
            "step": each.step,
            "contacts": each.contacts,
            "moves": each.moves,
            "changed": each.changed,
            "why": each.why,
        }
        for each in found
    ]
    return {"journey": journey, "version": version, "steps": steps}
