"""Journeys: publish a definition as a version, read it back, and enter a single contact."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from caravan.access import audit
from caravan.api.accept import wanted
from caravan.api.access import ACustomer, AnEngine, actor_of
from caravan.api.answers import BatchesChanged, Commenced, JourneyAnswer, Published, VersionAnswer
from caravan.api.calls import commence, once, read_body
from caravan.api.definition import DEFINITION, JourneyId, read_source
from caravan.engine import control
from caravan.engine.engine import Engine
from caravan.engine.publish import publish_draft, read_draft
from caravan.store import journeys
from caravan.store.database import Connection
from caravan.store.idempotency import Answer

router = APIRouter(tags=["journeys"])

Control = Callable[[Engine, Connection, int, int], Awaitable[list[str]]]

_WRITTEN: dict[str, Any] = {
    "content": {
        "application/yaml": {"schema": {"type": "string"}},
        "text/plain": {"schema": {"type": "string"}},
    }
}
_CONTACT = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["id"],
                    "properties": {"id": {"type": "string"}, "properties": {"type": "object"}},
                }
            }
        },
    }
}


@router.get("/journeys", response_model=list[JourneyAnswer])
async def list_journeys(customer: ACustomer, engine: AnEngine) -> list[dict[str, Any]]:
    """All journeys, with their newest version."""
    async with engine.pool.connection() as connection:
        found = await journeys.list_journeys(connection, customer)
    return [
        {
            "journey": each.journey,
            "name": each.name,
            "version": each.version,
            "publishedAt": each.published_at.isoformat(),
        }
        for each in found
    ]


@router.get("/journeys/{journeyid}", response_model=dict[str, Any], responses={200: _WRITTEN})
async def show_journey(
    request: Request,
    customer: ACustomer,
    engine: AnEngine,
    journeyid: int = JourneyId,
    version: int | None = Query(None, gt=0, lt=2**31, description="Which version; the newest by default."),
) -> Response:
    """A version of a journey as JSON, or, with `Accept: application/yaml` or `text/plain`, as it was written.

    The header `Caravan-Version` tells its number.
    """
    media = wanted(request.headers.get("accept", ""))
    async with engine.pool.connection() as connection:
        if version is None:
            found = await journeys.latest(connection, customer, journeyid)
        else:
            found = await journeys.get_version(connection, customer, journeyid, version)
        source = await journeys.source_of(connection, found, customer) if media else None
    headers = {"Caravan-Version": str(found.version), "Vary": "Accept"}
    if source is None:
        return JSONResponse(found.definition, headers=headers)
    return Response(source, headers=headers, media_type=f"{media}; charset=utf-8")


@router.get("/journeys/{journeyid}/versions", response_model=list[VersionAnswer])
async def list_versions(customer: ACustomer, engine: AnEngine, journeyid: int = JourneyId) -> list[dict[str, Any]]:
    """All versions of a journey, newest first."""
    async with engine.pool.connection() as connection:
        found = await journeys.list_versions(connection, customer, journeyid)
    return [
        {"version": each.version, "name": each.name, "publishedAt": each.published_at.isoformat()} for each in found
    ]


@router.put("/journeys/{journeyid}", response_model=Published, openapi_extra=DEFINITION)
async def publish_journey(
    request: Request,
    customer: ACustomer,
    engine: AnEngine,
    journeyid: int = JourneyId,
    base: int | None = Query(
        None,
        ge=0,
        lt=2**31,
        description="The version that this began with, 0 for a new journey; 409 if it is not the newest.",
    ),
) -> dict[str, Any]:
    """Publish a definition (YAML or JSON) as a new version. Batches that run keep theirs.

    `warnings` tell what is allowed and hardly meant, each with its line.
    """
    source = await read_source(request)
    draft = await read_draft(engine, customer, source, journeyid)
    async with engine.pool.connection() as connection, connection.transaction():
        published = await publish_draft(engine, connection, customer, draft, base)
        detail = {"version": published.version, "name": published.name}
        await audit.record(connection, actor_of(request), "publish", f"journey {published.journey}", detail)
    return {
        "journey": published.journey,
        "name": published.name,
        "version": published.version,
        "warnings": [each.to_json() for each in published.warnings],
    }


@router.post("/journeys/{journeyid}/pause", response_model=BatchesChanged)
async def pause_journey(
    request: Request, customer: ACustomer, engine: AnEngine, journeyid: int = JourneyId
) -> JSONResponse:
    """Pause all batches of the journey, also those that start while it is paused."""
    return await _control(request, engine, customer, journeyid, control.pause_journey)


@router.post("/journeys/{journeyid}/resume", response_model=BatchesChanged)
async def resume_journey(
    request: Request, customer: ACustomer, engine: AnEngine, journeyid: int = JourneyId
) -> JSONResponse:
    """Let all batches of the journey go on."""
    return await _control(request, engine, customer, journeyid, control.resume_journey)


@router.post("/journeys/{journeyid}/cancel", response_model=BatchesChanged)
async def cancel_journey(
    request: Request, customer: ACustomer, engine: AnEngine, journeyid: int = JourneyId
) -> JSONResponse:
    """Recall all batches of the journey that have not ended."""
    return await _control(request, engine, customer, journeyid, control.cancel_journey)


async def _control(request: Request, engine: Engine, customer: int, journey: int, change: Control) -> JSONResponse:
    body = await read_body(request)
    detail: dict[str, object] = {}

    async def work(connection: Connection) -> Answer:
        changed = await change(engine, connection, customer, journey)
        detail["batches"] = len(changed)
        return Answer(200, {"journey": journey, "batches": changed})

    return await once(request, engine, customer, body, work, detail)


@router.post("/journeys/{journeyid}/commence", status_code=202, response_model=Commenced, openapi_extra=_CONTACT)
async def commence_journey(
    request: Request, customer: ACustomer, engine: AnEngine, journeyid: int = JourneyId
) -> JSONResponse:
    """The single starter: enter one contact. It is stored durably before the answer and moves within a second."""
    return await commence(request, customer, journeyid)
