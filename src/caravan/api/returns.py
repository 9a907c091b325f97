"""What came back to a batch's messages: bounces, complaints and replies, and each as it came."""

from collections.abc import AsyncIterator
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import Field

from caravan import lists
from caravan.api.access import ACustomer, AnEngine
from caravan.api.answers import Answer
from caravan.api.batches import kept
from caravan.api.lists import AFormat, form_of
from caravan.api.streams import begun, lists_of
from caravan.engine.engine import Engine
from caravan.errors import NotFound
from caravan.lists import Form
from caravan.returns.returned import KEPT_KINDS, Kind
from caravan.store import returns
from caravan.store.batches import Batch
from caravan.store.database import single
from caravan.store.returns import StoredReturn

router = APIRouter(tags=["returns"])

_AT_ONCE = 1_000
_COLUMNS = [each.name for each in fields(StoredReturn)]
_ROW = attrgetter(*_COLUMNS)


class ReturnLine(Answer):
    """One thing that came back about a delivery."""

    id: int
    step: str
    visit: int
    line: int
    contact: str
    address: str | None
    kind: Kind = Field(description="bounced, complained or replied; or unread: nobody knows what it says.")
    hard: bool = Field(description="Of a bounce: the address is bad for good.")
    code: str = Field(description="Reply code and enhanced code, like 550 5.1.1; empty where none is told.")
    reason: str
    source: str
    at: datetime
    kept: bool = Field(description="Whether the message as it came is still kept.")


@router.get("/batches/{batchid}/returns", response_class=StreamingResponse, responses=lists_of(ReturnLine))
async def list_returns(
    request: Request,
    batchid: str,
    customer: ACustomer,
    engine: AnEngine,
    step: Annotated[str | None, Query(description="Only of this step.", max_length=1_000)] = None,
    kind: Annotated[Kind | None, Query(description=f"One of {', '.join(KEPT_KINDS)}.")] = None,
    format: AFormat = None,
) -> StreamingResponse:
    """Bounces, complaints and replies to a batch, the oldest first: NDJSON, or CSV."""
    batch = await kept(engine, customer, batchid)
    return await returns_list(engine, batch, form_of(request, format), step, kind)


async def returns_list(
    engine: Engine, batch: Batch, form: Form, step: str | None, kind: str | None
) -> StreamingResponse:
    """What came back to a batch as a file."""

    async def pieces() -> AsyncIterator[str]:
        first, after = lists.head(form, _COLUMNS), 0
        while True:
            async with single(engine.pool) as connection:
                some = await returns.of_batch(connection, batch.id, after=after, limit=_AT_ONCE, step=step, kind=kind)
            yield first + lists.written(form, _COLUMNS, list(map(_ROW, some)))
            if len(some) < _AT_ONCE:
                return
            first, after = "", some[-1].id

    headers = {"Content-Disposition": f'attachment; filename="{batch.id}-returns.{form}"', "Vary": "Accept"}
    return await begun(pieces(), form.media, headers)


@router.get(
    "/batches/{batchid}/returns/{number}",
    response_class=Response,
    responses={
        200: {
            "description": "The message, to be saved.",
            "content": {
                "message/rfc822": {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "object"}},
            },
        }
    },
)
async def show_return(
    batchid: str,
    number: Annotated[int, Path(ge=1, lt=2**63)],
    customer: ACustomer,
    engine: AnEngine,
) -> Response:
    """One of them as it came: a mail, or what the provider sent."""
    batch = await kept(engine, customer, batchid)
    return await returned_message(engine, batch, number)


async def returned_message(engine: Engine, batch: Batch, number: int) -> Response:
    """What came back as it came, to be saved: nothing in it is to be shown by a browser. Raises `NotFound`."""
    async with single(engine.pool) as connection:
        raw = await returns.raw(connection, batch.id, number)
    if raw is None:
        raise NotFound(f"Message {number} is not kept; messages are for CARAVAN_BOUNCE_DAYS days.")
    is_json = raw[:1] in (b"{", b"[")
    headers = {
        "Content-Disposition": f'attachment; filename="{batch.id}-{number}.{"json" if is_json else "eml"}"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(raw, headers=headers, media_type="application/json" if is_json else "message/rfc822")
