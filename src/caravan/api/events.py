"""Events: what contacts did, reported by programs, and listed by contact and by name."""

import json
import zlib
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from caravan.api.access import ACustomer, AnEngine
from caravan.api.answers import Answer as AnswerModel
from caravan.api.calls import once, read_body
from caravan.engine.reports import Reported, Reporter, read_list, report_list
from caravan.errors import InvalidInput, TooLarge, UnsupportedType
from caravan.events.event import LONGEST_ID, LONGEST_KEY
from caravan.events.reading import MOST_LINES
from caravan.events.take import Taken
from caravan.journeys.event_names import NAME
from caravan.store import events as store
from caravan.store.database import Connection, single
from caravan.store.events import StoredEvent
from caravan.store.idempotency import Answer

router = APIRouter(tags=["events"])
_LARGEST = 64 << 20  # bytes of a list, as it was sent and expanded
_LISTS = ("application/x-ndjson", "application/ndjson", "application/jsonl")


class Refusal(AnswerModel):
    """A line that is no event."""

    line: int
    message: str


class TakenAnswer(AnswerModel):
    """What became of events."""

    taken: int
    duplicates: int = Field(description="Those whose key came before; they are ignored.")
    refused: int
    refusals: list[Refusal] = Field(description="The first thousand.")


class EventAnswer(AnswerModel):
    """An event of a contact."""

    event: str
    at: datetime
    taken_at: datetime = Field(alias="takenAt")
    properties: dict[str, Any]
    source: str = Field(description="api, or which channel told of it and how, like email:open.")
    key: str | None
    batch: str | None = Field(description="The batch whose message it answers, if it answers one.")
    step: str | None


class EventOfContactAnswer(EventAnswer):
    """An event, and whose it is."""

    contact: str


class NameAnswer(AnswerModel):
    """How many events of a name were taken."""

    event: str
    events: int
    last: datetime = Field(description="When the last one happened.")


_GIVEN: dict[str, Any] = {
    "type": "object",
    "required": ["id", "event"],
    "additionalProperties": False,
    "properties": {
        "id": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_ID,
            "description": "The contact's id, also of one that is not known.",
        },
        "event": {"type": "string", "pattern": f"^{NAME.pattern}$"},
        "at": {"type": "string", "format": "date-time", "description": "Default: now."},
        "properties": {"type": "object"},
        "key": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_KEY,
            "description": "Of two with the same key the first counts.",
        },
    },
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _GIVEN},
            "application/x-ndjson": {"schema": {"type": "string", "description": f"Up to {MOST_LINES:,} lines."}},
        },
    }
}


@router.post("/events", response_model=TakenAnswer, openapi_extra=_BODY)
async def report_events(request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Take one event, or a list with one on each line (`application/x-ndjson`): durable before the answer. Lines that
    can't be used are told by number, and all others are taken. The body may be compressed with gzip."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = _expanded(await read_body(request, _LARGEST), request.headers.get("content-encoding", "").strip().lower())
    if kind not in _LISTS and "idempotency-key" not in request.headers:
        reporter: Reporter = request.app.state.reporter
        return JSONResponse(_answer(await reporter.report(customer, body)))
    reading = await read_list(engine, body)
    if kind not in _LISTS and (reading.refused or len(reading.events) != 1):
        raise InvalidInput(reading.refusals[0][1] if reading.refusals else "The body is not one event.")

    async def work(connection: Connection) -> Answer:
        return Answer(200, _list_answer(await report_list(connection, customer, reading)))

    return await once(request, engine, customer, body, work, recorded=False)


def _expanded(body: bytes, encoding: str) -> bytes:
    """The body as it was before it was compressed. Raises `UnsupportedType`, `InvalidInput`, `TooLarge`."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise UnsupportedType(f"Content-Encoding {encoding[:32]!r} is not known here; use gzip or none.")
    whole = bytearray()
    try:
        while body:  # several members in a row are one body (RFC 1952 §2.2)
            member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            whole += member.decompress(body, _LARGEST + 1 - len(whole))
            if len(whole) > _LARGEST:
                raise TooLarge(f"The body is larger than {_LARGEST:,} bytes once it is expanded; send it in parts.")
            if not member.eof:
                raise InvalidInput("The gzip body is cut off; send it again.")
            body = member.unused_data
    except zlib.error:
        raise InvalidInput("The body was sent as gzip, but it is not gzip, or it is damaged.") from None
    return bytes(whole)


def _answer(taken: Taken) -> dict[str, Any]:
    return {"taken": taken.taken, "duplicates": taken.duplicates, "refused": 0, "refusals": []}


def _list_answer(found: Reported) -> dict[str, Any]:
    refusals = [{"line": line, "message": message} for line, message in found.reading.refusals]
    return {**_answer(found.taken), "refused": found.reading.refused, "refusals": refusals}


@router.get("/events", response_model=list[EventOfContactAnswer])
async def list_events_of_name(
    request: Request,
    customer: ACustomer,
    engine: AnEngine,
    event: Annotated[str, Query(max_length=64, description="The events' name.")],
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    before: Annotated[str | None, Query(max_length=60, description="From the header Link.")] = None,
) -> JSONResponse:
    """The events of one name, whoever did them, newest first; the header `Link` leads to the next page."""
    found: list[tuple[str, StoredEvent]] = []
    if "\0" not in event:
        async with single(engine.pool) as connection:
            found = await store.of_name(connection, customer, event, limit=limit, before=place_of(before))
    headers = _next(request, found[-1][1], limit) if len(found) == limit else {}
    return JSONResponse([{"contact": contact, **_event(each)} for contact, each in found], headers=headers)


@router.get("/events/names", response_model=list[NameAnswer])
async def list_event_names(
    customer: ACustomer,
    engine: AnEngine,
    hours: Annotated[int, Query(ge=1, le=168, description="Those that were taken in so many hours.")] = 24,
) -> JSONResponse:
    """Which events came lately: how many of each name, and when the last one happened."""
    async with single(engine.pool) as connection:
        found = await store.names(connection, customer, hours)
    return JSONResponse([{"event": each.name, "events": each.events, "last": each.last.isoformat()} for each in found])


@router.get("/contacts/{contactid:path}/events", response_model=list[EventAnswer])
async def list_events(
    request: Request,
    contactid: str,
    customer: ACustomer,
    engine: AnEngine,
    event: Annotated[str | None, Query(max_length=64, description="Only events of this name.")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    before: Annotated[str | None, Query(max_length=60, description="From the header Link.")] = None,
) -> JSONResponse:
    """A contact's events, newest first; the header `Link` leads to the next page."""
    found: list[StoredEvent] = []
    if "\0" not in contactid and "\0" not in (event or ""):
        async with single(engine.pool) as connection:
            found = await store.of_contact(
                connection, customer, contactid, limit=limit, name=event, before=place_of(before)
            )
    headers = _next(request, found[-1], limit) if len(found) == limit else {}
    return JSONResponse([_event(each) for each in found], headers=headers)


def _next(request: Request, last: StoredEvent, limit: int) -> dict[str, str]:
    place = f"{last.at.isoformat()},{last.id}"
    return {"Link": f'<{request.url.include_query_params(limit=limit, before=place)}>; rel="next"'}


def place_of(text: str | None) -> tuple[datetime, int] | None:
    """Where a list of events goes on, as the link to its next page says. Raises `InvalidInput`."""
    if text is None:
        return None
    at, _, number = text.partition(",")
    try:
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None or not (number.isascii() and number.isdigit() and len(number) < 19):
            raise ValueError
    except ValueError:
        raise InvalidInput("The parameter before is taken from the header Link as it is.") from None
    return moment, int(number)


def _event(event: StoredEvent) -> dict[str, Any]:
    return {
        "event": event.name,
        "at": event.at.isoformat(),
        "takenAt": event.taken_at.isoformat(),
        "properties": json.loads(event.properties),
        "source": event.source,
        "key": event.key,
        "batch": event.batch_id,
        "step": event.step,
    }
