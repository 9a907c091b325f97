"""Suppressions: who must not be written to; listed, added, lifted, imported and exported."""

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import Field

from caravan.api.access import ACustomer, AnEngine
from caravan.api.answers import Answer as AnswerModel
from caravan.api.calls import once, read_body
from caravan.api.spelling import check_members
from caravan.api.spool import spooled
from caravan.api.streams import lists_of
from caravan.api.uploads import whole_body
from caravan.engine.suppression_files import Format, Imported, Importer, as_json, export
from caravan.engine.suppressions import By, address_of, channel_names, entry
from caravan.errors import InvalidInput, UnsupportedType
from caravan.store import suppressions as store
from caravan.store.database import Connection, single
from caravan.store.idempotency import Answer
from caravan.store.suppressions import Reason, Suppression, Wanted, Way

router = APIRouter(tags=["suppressions"])
_MOST = 10_000  # entries of one call; more come as an import
_KINDS = {
    "text/csv": Format.CSV,
    "application/x-ndjson": Format.NDJSON,
    "application/ndjson": Format.NDJSON,
    "application/jsonl": Format.NDJSON,
}


class SuppressionAnswer(AnswerModel):
    """One suppression."""

    address: str = Field(description="As it is compared: a mail address in lower case.")
    channel: str
    topic: str | None = Field(description="It stops only steps with this topic; null: all of the channel.")
    reason: Reason
    at: datetime
    detail: str | None
    source: str = Field(description="By which way it came: one_click, page, api, console, command, import.")
    who: str = Field(description="A user, a token, a user of the machine, or recipient.")


class SuppressionGiven(AnswerModel):
    """What a suppression is made of."""

    address: str
    channel: str | None = None
    topic: str | None = None
    reason: Reason | None = None
    at: str | None = None
    detail: str | None = None


class Added(AnswerModel):
    """How many suppressions are new, and how many stood before."""

    added: int
    known: int


class Removed(AnswerModel):
    """How many suppressions were lifted."""

    removed: int


class Refusal(AnswerModel):
    """A line of a list that can't be used."""

    line: int
    message: str


class ImportedAnswer(Added):
    """What became of a list."""

    lines: int
    refused: int
    refusals: list[Refusal] = Field(description="The first thousand.")


_GIVEN: dict[str, Any] = {
    "type": "object",
    "required": ["address"],
    "properties": {
        "address": {"type": "string"},
        "channel": {"type": "string"},
        "topic": {"type": "string"},
        "reason": {"type": "string", "enum": list(Reason)},
        "at": {"type": "string", "format": "date-time"},
        "detail": {"type": "string"},
    },
}
_ONE_OR_MANY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"oneOf": [_GIVEN, {"type": "array", "items": _GIVEN, "maxItems": _MOST}]}}
        },
    }
}
_LIST = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string"}} for kind in ("text/csv", "application/x-ndjson")},
    }
}


@router.get("/suppressions", response_model=list[SuppressionAnswer])
async def list_suppressions(
    request: Request,
    customer: ACustomer,
    engine: AnEngine,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    channel: Annotated[str | None, Query(max_length=64)] = None,
    address: Annotated[
        str | None, Query(max_length=1_000, description="Addresses that begin so, in their order.")
    ] = None,
    topic: Annotated[str | None, Query(max_length=64, description="Only this topic; empty: without a topic.")] = None,
    reason: Annotated[Reason | None, Query()] = None,
    before: Annotated[int | None, Query(ge=0, lt=2**63, description="From the header Link.")] = None,
    after: Annotated[str | None, Query(max_length=1_100, description="From the header Link.")] = None,
) -> JSONResponse:
    """A customer's suppressions, newest first, or by address; the header `Link` leads to the next page."""
    beginning = address.strip().lower() if address is not None else None
    wanted = Wanted(limit, channel, beginning or None, topic, reason, before, _after(after))
    async with single(engine.pool) as connection:
        found = await store.page(connection, customer, wanted, channel_names(engine))
    headers = {}
    if len(found) == limit:
        last = found[-1]
        place: dict[str, Any] = {"after": f"{last.id}:{last.address}"} if wanted.address else {"before": last.id}
        headers["Link"] = f'<{request.url.include_query_params(limit=limit, **place)}>; rel="next"'
    return JSONResponse([as_json(each) for each in found], headers=headers)


def _after(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    number, _, address = text.partition(":")
    if not (number.isascii() and number.isdigit() and len(number) < 19) or "\0" in address:
        raise InvalidInput("The parameter after is taken from the header Link as it is.")
    return address, int(number)


@router.post("/suppressions", response_model=Added, openapi_extra=_ONE_OR_MANY)
async def add_suppressions(request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Suppress an address, or up to 10,000 as a list: all of them, or none where one can't be used."""
    body = await read_body(request)
    channels, by, now = channel_names(engine), By(_who(request), Way.API), engine.clock.now()
    entries = [_entry(channels, by, now, each, index) for index, each in enumerate(_given(body))]

    async def work(connection: Connection) -> Answer:
        added = await store.add(connection, customer, entries)
        return Answer(200, {"added": added, "known": len(entries) - added})

    return await once(request, engine, customer, body, work)


def _given(body: bytes) -> list[Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInput('The body is not JSON; send an object like {"address": "anna@example.com"}.') from None
    given = content if isinstance(content, list) else [content]
    if len(given) > _MOST:
        raise InvalidInput(f"A call takes at most {_MOST:,} suppressions; POST more to suppressions/import.")
    return given


def _entry(channels: list[str], by: By, now: datetime, given: Any, index: int) -> Suppression:
    if not isinstance(given, dict):
        raise InvalidInput(f'Entry {index} is no object like {{"address": "anna@example.com"}}.')
    check_members(given, SuppressionGiven, closed=True)
    try:
        return entry(channels, by, now, **{"address": None, **given})
    except InvalidInput as error:
        raise InvalidInput(f"Entry {index}: {error.message}" if index else error.message) from None


@router.delete("/suppressions", response_model=Removed)
async def remove_suppressions(
    request: Request,
    customer: ACustomer,
    engine: AnEngine,
    address: Annotated[str, Query(max_length=1_000)],
    channel: Annotated[str, Query(max_length=64)] = "email",
    topic: Annotated[str | None, Query(max_length=64, description="Only this topic; empty: without a topic.")] = None,
    reason: Annotated[Reason | None, Query()] = None,
) -> dict[str, int]:
    """Lift all suppressions of an address, or those of a topic or a reason. They stay in its history."""
    async with engine.pool.connection() as connection, connection.transaction():
        removed = await store.lift(
            connection,
            customer,
            channel,
            address_of(channel, address),
            topic=topic,
            reason=reason,
            who=_who(request),
            source=Way.API,
            now=engine.clock.now(),
        )
    return {"removed": removed}


@router.post("/suppressions/import", response_model=ImportedAnswer, openapi_extra=_LIST)
async def import_suppressions(request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Suppress all addresses of a list, as CSV or NDJSON, however long. Lines that can't be used are told by number,
    and all others are taken. It can be sent again: what stands already stays as it is."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _KINDS:
        raise UnsupportedType("Send the list as text/csv or application/x-ndjson.")
    by = By(_who(request), Way.IMPORT)
    importer = Importer(engine.pool, customer, channel_names(engine), by, engine.clock.now())
    async with spooled(engine, "suppressions", whole_body(request, engine.settings), "list") as file:
        with file.path.open("rb") as source:
            found = await importer.add(source, _KINDS[kind])
    return JSONResponse(imported_answer(found))


def imported_answer(found: Imported) -> dict[str, Any]:
    """What became of a list, for programs."""
    refusals = [{"line": line, "message": message} for line, message in found.refusals]
    return {
        "lines": found.lines,
        "added": found.added,
        "known": found.known,
        "refused": found.refused,
        "refusals": refusals,
    }


@router.get("/suppressions/export", response_class=StreamingResponse, responses=lists_of(SuppressionAnswer))
async def export_suppressions(
    customer: ACustomer,
    engine: AnEngine,
    format: Annotated[Format, Query()] = Format.NDJSON,
    channel: Annotated[str | None, Query(max_length=64)] = None,
    reason: Annotated[Reason | None, Query()] = None,
) -> StreamingResponse:
    """All suppressions, oldest first, streamed: one JSON object a line, or CSV."""
    media = "text/csv; charset=utf-8" if format is Format.CSV else "application/x-ndjson"
    return StreamingResponse(export(engine.pool, customer, format, channel, reason), media_type=media)


def _who(request: Request) -> str:
    """The token of the call, by its id."""
    bearer = request.headers.get("authorization", "").partition(" ")[2]
    token = (request.headers.get("x-carma-authentication-token") or bearer).strip()
    return f"token {token.split('_')[1]}" if token.count("_") >= 2 else "token"
