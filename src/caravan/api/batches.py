"""Batches: what became of them, who was rejected, what happened to whom; pause, resume, cancel."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import fields
from itertools import islice
from operator import attrgetter
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse

from caravan import lists
from caravan.access import audit
from caravan.api.access import ACustomer, AnEngine, actor_of
from caravan.api.answers import BatchAnswer, BatchEvent, JournalLine, RejectLine, batch_answer
from caravan.api.calls import once, read_body
from caravan.api.lists import AFormat, form_of
from caravan.api.spelling import among
from caravan.api.streams import events, listed, lists_of
from caravan.engine import control, retention
from caravan.engine.engine import Engine
from caravan.errors import Gone
from caravan.intake.rejects import Reject, RejectCode, read_rejects
from caravan.lists import Form, Row
from caravan.queries.batch import batch_report, batch_reports
from caravan.queries.journal import RETRYING, STANDING, Filter, Line, open_journal, read_journal
from caravan.queries.watch import Watches
from caravan.store import batches
from caravan.store.batches import Batch, BatchState, Page
from caravan.store.database import Connection, single, snapshot
from caravan.store.idempotency import Answer
from caravan.store.ledger import Outcome

router = APIRouter(tags=["batches"])

_LINES = 4_096  # rejects that are sent at once
_REJECT_COLUMNS, LINE_COLUMNS = ([each.name for each in fields(kind)] for kind in (Reject, Line))
_REJECT, LINE = attrgetter(*_REJECT_COLUMNS), attrgetter(*LINE_COLUMNS)
_OUTCOMES = (*Outcome, STANDING, RETRYING)
_SILENCE = 10.0  # seconds after which an event comes even if nothing changed, to keep the connection alive
Control = Callable[[Engine, Connection, int, str], Awaitable[Batch]]


@router.get("/batches", response_model=list[BatchAnswer])
async def list_batches(
    request: Request,
    customer: ACustomer,
    engine: AnEngine,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(description="The last batch of the page before.")] = None,
    state: Annotated[list[BatchState] | None, Query(description="Only batches in one of these states.")] = None,
    journey: Annotated[int | None, Query(gt=0, lt=2**63, description="Only batches of this journey.")] = None,
) -> JSONResponse:
    """A customer's batches, newest first; the header `Link` leads to the next page."""
    async with snapshot(engine.pool) as connection:
        wanted = Page(limit, before, tuple(state or ()), journey)
        found = await batch_reports(engine, connection, customer, wanted)
    headers = {}
    if len(found) == limit:
        following = request.url.include_query_params(limit=limit, before=found[-1].batch.id)
        headers["Link"] = f'<{following}>; rel="next"'
    return JSONResponse([batch_answer(each) for each in found], headers=headers)


@router.get("/batches/{batchid}", response_model=BatchAnswer)
async def show_batch(batchid: str, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """One batch with its ledger."""
    async with single(engine.pool) as connection:
        return JSONResponse(batch_answer(await batch_report(engine, connection, customer, batchid)))


async def kept(engine: Engine, customer: int, batchid: str) -> Batch:
    """A batch whose contacts are still kept. Raises `Gone` for another."""
    async with engine.pool.connection() as connection:
        batch = await batches.of_customer(connection, customer, batchid)
    if batch.forgotten_at is not None:
        raise Gone(f"The contacts of batch {batch.id} were deleted on {batch.forgotten_at:%Y-%m-%d}; its ledger stays.")
    return batch


@router.get("/batches/{batchid}/rejects", response_class=StreamingResponse, responses=lists_of(RejectLine))
async def list_rejects(
    batchid: str,
    request: Request,
    customer: ACustomer,
    engine: AnEngine,
    code: Annotated[RejectCode | None, Query(description="Only rows that were refused for this reason.")] = None,
    format: AFormat = None,
) -> StreamingResponse:
    """Every refused row, in order: NDJSON, or CSV."""
    batch = await kept(engine, customer, batchid)
    return await rejects_list(engine, batch, form_of(request, format), code)


async def rejects_list(engine: Engine, batch: Batch, form: Form, code: RejectCode | None) -> StreamingResponse:
    """The refused rows of a batch, or those for one reason, as a file."""

    def rows() -> Iterator[list[Row]]:
        if batch.rejects is not None:
            with engine.files.local(batch.rejects) as path:
                found = read_rejects(path, code=code)
                while some := list(islice(found, _LINES)):
                    yield list(map(_REJECT, some))

    pieces = lists.pieces(form, _REJECT_COLUMNS, rows())
    return await listed(pieces, lambda: kept(engine, batch.customer_id, batch.id), form, f"{batch.id}-rejects")


@router.get("/batches/{batchid}/journal", response_class=StreamingResponse, responses=lists_of(JournalLine))
async def list_journal(
    batchid: str,
    request: Request,
    customer: ACustomer,
    engine: AnEngine,
    step: str | None = None,
    outcome: Annotated[list[str] | None, Query(description=f"One or more of {', '.join(_OUTCOMES)}.")] = None,
    contact: Annotated[str | None, Query(description="Tells also where this contact stands or is retried.")] = None,
    format: AFormat = None,
) -> StreamingResponse:
    """What happened to each contact at each step: NDJSON, or CSV."""
    for each in outcome or ():
        among("outcome", each, _OUTCOMES)
    batch = await kept(engine, customer, batchid)
    if step is not None and batch.version is not None:
        async with engine.pool.connection() as connection:
            journey = await engine.journeys.get(connection, customer, batch.journey_id, batch.version)
        among("step", step, [each.id for each in journey.steps])
    wanted = Filter(step, tuple(outcome or ()), contact)
    return await journal_list(engine, batch, form_of(request, format), wanted, "journal")


async def journal_list(engine: Engine, batch: Batch, form: Form, wanted: Filter, name: str) -> StreamingResponse:
    """The lines of a batch's journal that pass a filter, as a file."""
    journal = await open_journal(engine, batch.id, wanted)
    rows = (list(map(LINE, lines)) for lines in read_journal(engine.files, journal))
    pieces = lists.pieces(form, LINE_COLUMNS, rows)
    return await listed(pieces, lambda: kept(engine, batch.customer_id, batch.id), form, f"{batch.id}-{name}")


@router.post("/batches/{batchid}/pause", response_model=BatchAnswer)
async def pause(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Nobody of the batch moves until it is resumed."""
    return await _control(request, engine, customer, batchid, control.pause)


@router.post("/batches/{batchid}/resume", response_model=BatchAnswer)
async def resume(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """The batch goes on."""
    return await _control(request, engine, customer, batchid, control.resume)


@router.post("/batches/{batchid}/cancel", response_model=BatchAnswer)
async def cancel(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Recall the batch: contacts that have not been reached leave as `cancelled`."""
    return await _control(request, engine, customer, batchid, control.cancel)


@router.post("/batches/{batchid}/retry", response_model=BatchAnswer)
async def retry(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Take up once more what was stuck."""
    return await _control(request, engine, customer, batchid, control.retry)


@router.post("/batches/{batchid}/give-up", response_model=BatchAnswer)
async def give_up(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Fail those who are only being retried, now: they leave their step as `failed` and go on."""
    return await _control(request, engine, customer, batchid, control.give_up)


@router.post("/batches/{batchid}/forget", response_model=BatchAnswer)
async def forget(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Delete the contacts, rejects and journal of an ended batch now; the ledger stays."""
    body = await read_body(request)

    async def note(connection: Connection) -> None:
        await audit.record(connection, actor_of(request), "forget", f"batch {batchid}")

    await retention.forget(engine, customer, batchid, note)  # with nothing locked: the store may be slow
    return await _answered(request, engine, customer, body, batchid)


async def _control(request: Request, engine: Engine, customer: int, batch: str, change: Control) -> JSONResponse:
    body = await read_body(request)
    return await _answered(request, engine, customer, body, batch, change)


async def _answered(
    request: Request, engine: Engine, customer: int, body: bytes, batch: str, change: Control | None = None
) -> JSONResponse:
    """Change the batch, if there is something to change in the transaction of the answer, and answer with it."""

    async def work(connection: Connection) -> Answer:
        if change is not None:
            await change(engine, connection, customer, batch)
        return Answer(200, batch_answer(await batch_report(engine, connection, customer, batch)))

    return await once(request, engine, customer, body, work, recorded=change is not None)


@router.get("/batches/{batchid}/events", response_class=StreamingResponse, responses=events(BatchEvent))
async def follow(batchid: str, request: Request, customer: ACustomer, engine: AnEngine) -> StreamingResponse:
    """Server-sent events: the batch with its ledger and `rate` (contacts a second) whenever it changes, and at least
    every ten seconds, until it has ended."""
    async with engine.pool.connection() as connection:
        await batches.of_customer(connection, customer, batchid)
    watches: Watches = request.app.state.watches
    return StreamingResponse(_events(watches, customer, batchid), media_type="text/event-stream")


async def _events(watches: Watches, customer: int, batch: str) -> AsyncIterator[str]:
    told: tuple[dict[str, Any], float] | None = None
    loop = asyncio.get_running_loop()
    async for progress in watches.follow(customer, batch):
        found = {**batch_answer(progress.report), "rate": progress.rate}
        if told is None or found != told[0] or loop.time() - told[1] >= _SILENCE:
            told = found, loop.time()
            yield f"event: batch\ndata: {json.dumps(found, ensure_ascii=False)}\n\n"
