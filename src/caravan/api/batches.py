"""Batches: what became of them, who was rejected, what happened to whom; pause, resume, cancel."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from caravan.api.access import ACustomer, AnEngine
from caravan.api.calls import once, read_body
from caravan.api.streams import Pieces, ndjson
from caravan.engine import control, retention
from caravan.engine.engine import Engine
from caravan.errors import Gone
from caravan.intake.rejects import Reject, read_rejects
from caravan.queries.batch import Report, report, reports
from caravan.queries.journal import Filter, Line, open_journal, read_journal
from caravan.store import batches
from caravan.store.batches import Batch
from caravan.store.database import Connection, single, snapshot
from caravan.store.idempotency import Answer

router = APIRouter(tags=["batches"])

_LINES = 4_096  # rejects that are sent at once
_TICK = 0.5  # seconds between two looks for an event
Control = Callable[[Engine, Connection, int, str], Awaitable[Batch]]


def shown(found: Report) -> dict[str, Any]:
    """A batch as the API answers it."""
    batch, ledger = found.batch, found.ledger
    return {
        "id": batch.id,
        "state": batch.shown_state,
        "starter": batch.starter,
        "journey": batch.journey_id,
        "version": batch.version,
        "createdAt": _moment(batch.created_at),
        "startedAt": _moment(batch.started_at),
        "finishedAt": _moment(batch.finished_at),
        "error": f"{batch.error_code}: {batch.error}" if batch.error_code else batch.error,
        "errorCode": batch.error_code,
        "waitingFor": found.waiting_for,
        "ledger": asdict(ledger),
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


@router.get("/batches")
async def list_batches(
    request: Request,
    response: Response,
    customer: ACustomer,
    engine: AnEngine,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(description="The last batch of the page before.")] = None,
) -> list[dict[str, Any]]:
    """A customer's batches, newest first; the header `Link` leads to the next page."""
    async with snapshot(engine.pool) as connection:
        found = await reports(engine, connection, customer, limit, before)
    if len(found) == limit:
        following = request.url.include_query_params(limit=limit, before=found[-1].batch.id)
        response.headers["Link"] = f'<{following}>; rel="next"'
    return [shown(each) for each in found]


@router.get("/batches/{batchid}")
async def show_batch(batchid: str, customer: ACustomer, engine: AnEngine) -> dict[str, Any]:
    """One batch with its ledger."""
    return await _show(engine, customer, batchid)


async def _show(engine: Engine, customer: int, batch: str) -> dict[str, Any]:
    async with single(engine.pool) as connection:
        return shown(await report(engine, connection, customer, batch))


async def _kept(engine: Engine, customer: int, batchid: str) -> Batch:
    """A batch whose contacts are still kept. Raises `Gone` for another."""
    async with engine.pool.connection() as connection:
        batch = await batches.of_customer(connection, customer, batchid)
    if batch.forgotten_at is not None:
        raise Gone(f"The contacts of batch {batch.id} were deleted on {batch.forgotten_at:%Y-%m-%d}; its ledger stays.")
    return batch


@router.get("/batches/{batchid}/rejects")
async def list_rejects(batchid: str, customer: ACustomer, engine: AnEngine) -> StreamingResponse:
    """Every refused row, in order, one JSON object a line."""
    batch = await _kept(engine, customer, batchid)

    def stream() -> Pieces:
        if batch.rejects is not None:
            with engine.files.local(batch.rejects) as path:
                found = read_rejects(path)
                while some := list(islice(found, _LINES)):
                    yield "".join(map(_reject_line, some))

    return await ndjson(stream(), lambda: _kept(engine, customer, batchid))


def _reject_line(reject: Reject) -> str:
    return json.dumps(asdict(reject), ensure_ascii=False) + "\n"


@router.get("/batches/{batchid}/journal")
async def list_journal(
    batchid: str,
    customer: ACustomer,
    engine: AnEngine,
    step: str | None = None,
    outcome: str | None = None,
    contact: str | None = None,
) -> StreamingResponse:
    """What happened to each contact at each step, one JSON object a line."""
    batch = await _kept(engine, customer, batchid)
    journal = await open_journal(engine, batch.id, Filter(step, outcome, contact))

    def stream() -> Pieces:
        for lines in read_journal(engine.files, journal):
            yield "".join(map(_journal_line, lines))

    return await ndjson(stream(), lambda: _kept(engine, customer, batchid))


def _journal_line(line: Line) -> str:
    return json.dumps({**asdict(line), "at": line.at.isoformat()}, ensure_ascii=False) + "\n"


@router.post("/batches/{batchid}/pause")
async def pause(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Nobody of the batch moves until it is resumed."""
    return await _control(request, engine, customer, batchid, control.pause)


@router.post("/batches/{batchid}/resume")
async def resume(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Everybody of the batch goes on."""
    return await _control(request, engine, customer, batchid, control.resume)


@router.post("/batches/{batchid}/cancel")
async def cancel(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Recall the batch: everyone not yet reached leaves as `cancelled`."""
    return await _control(request, engine, customer, batchid, control.cancel)


async def _control(request: Request, engine: Engine, customer: int, batch: str, change: Control) -> JSONResponse:
    body = await read_body(request)

    async def work(connection: Connection) -> Answer:
        changed = await change(engine, connection, customer, batch)
        return Answer(200, shown(await report(engine, connection, customer, changed.id)))

    return await once(request, engine, customer, body, work)


@router.post("/batches/{batchid}/forget")
async def forget(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Delete the contacts, rejects and journal of an ended batch now; the ledger stays."""
    body = await read_body(request)
    await retention.forget(engine, customer, batchid)  # with nothing locked: the store may be slow

    async def work(connection: Connection) -> Answer:
        return Answer(200, shown(await report(engine, connection, customer, batchid)))

    return await once(request, engine, customer, body, work)


@router.post("/batches/{batchid}/retry")
async def retry(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """What was stuck is taken up once more."""
    return await _control(request, engine, customer, batchid, control.retry)


@router.get("/batches/{batchid}/events")
async def follow(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> StreamingResponse:
    """Server-sent events: the batch with its ledger and `rate` (contacts a second) until it has ended."""
    await _show(engine, customer, batchid)
    return StreamingResponse(_events(request, engine, customer, batchid), media_type="text/event-stream")


async def _events(request: Request, engine: Engine, customer: int, batch: str) -> AsyncIterator[str]:
    """An event whenever something changed, and at least every ten seconds to keep the connection alive."""
    told, told_at, moved = "", 0.0, _Rate()
    while not await request.is_disconnected():
        found = await _show(engine, customer, batch)
        now = asyncio.get_running_loop().time()
        found["rate"] = moved.update(found["ledger"], now)
        content = json.dumps(found, ensure_ascii=False)
        if content != told or now - told_at > 10:
            told, told_at = content, now
            yield f"event: batch\ndata: {content}\n\n"
        if found["finishedAt"] is not None:
            return
        await asyncio.sleep(_TICK)


class _Rate:
    """Contacts that left a step, per second, between two looks."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._at = 0.0

    def update(self, ledger: dict[str, Any], now: float) -> float:
        count = sum(sum(step["outcomes"].values()) for step in ledger["steps"])
        before, since = self._count, now - self._at
        self._count, self._at = count, now
        return 0.0 if before is None or since <= 0 else round((count - before) / since, 1)
