"""A new batch on its way to its start: its file comes and is read whole, then the page shows what would happen, and
asks whether it is to start. Its address is all that it needs, so it survives a reload and a change of the process."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import groupby

from starlette.responses import Response

from caravan.access import audit
from caravan.api.spelling import among
from caravan.api.uploads import signer_of, take, upload_url, whole_body
from caravan.console.file_form import file_of, is_file_form
from caravan.console.page import Fragments, Page
from caravan.console.pages.batch import Control, steer
from caravan.console.pages.new_batch import with_uploads
from caravan.console.rendering import macro
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine import control
from caravan.engine.start import Received, refuse_upload
from caravan.errors import NotFound
from caravan.queries.batch import BatchReport, batch_report
from caravan.queries.held import FileProgress, FirstRows, file_progress, first_rows
from caravan.queries.preflight import Branch, Preflight
from caravan.store import batches
from caravan.store.batches import Batch, BatchState, Source
from caravan.store.database import Connection, single

_SOON = 1.0  # seconds for which the page waits for its preflight, before it is loaded without
_AGAIN = 5.0  # seconds between two signs of life of a stream that waits for one
_AWAITS_FILE = frozenset({BatchState.AWAITING_UPLOAD, BatchState.RECEIVING})


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of a held batch."""

    preflight: Preflight
    rows: FirstRows
    contact: str | None  # that was asked for
    problem: str | None  # why there is nothing of it

    @property
    def splits(self) -> list[tuple[str, list[Branch], int]]:
        """The steps at which ways part, each with its branches and all contacts that come there."""
        found = [(step, list(each)) for step, each in groupby(self.preflight.branches, lambda branch: branch.step)]
        return [(step, each, sum(branch.contacts for branch in each)) for step, each in found]


def stage_of(batch: Batch) -> str:
    """How far a new batch is: `upload` `download` `reading` `held` `started` `ended`."""
    if batch.ended:
        return "ended"
    if not batch.hold:
        return "started"
    if batch.state in _AWAITS_FILE:
        return "download" if batch.source == Source.DOWNLOAD else "upload"
    return "reading" if batch.state == BatchState.READING else "held"


async def show(visit: Visit) -> Response:
    """The page; that of the batch itself for one that has nothing to review."""
    report = await _report(visit)
    path = f"{HOME}/{visit.customer}/new/{report.batch.id}"
    if not report.batch.hold:
        return see_other(f"{HOME}/{visit.customer}/batches/{report.batch.id}")
    look = await _look_soon(visit) if report.batch.held else None
    takes_file = stage_of(report.batch) == "upload" and visit.may_edit
    answer = visit.page(
        "review.html",
        report=report,
        stage=stage_of(report.batch),
        progress=await file_progress(visit.engine, report.batch),
        look=look,
        upload=await _upload(visit, report.batch) if takes_file else None,
        largest=visit.engine.settings.max_file_bytes,
        direct=report.batch.source == Source.DIRECT,
        path=path,
        query=f"?{visit.request.url.query}" if visit.request.url.query else "",
        may_edit=visit.may_edit,
    )
    return await with_uploads(visit, answer) if takes_file else answer


async def _report(visit: Visit) -> BatchReport:
    async with single(visit.engine.pool) as connection:
        return await batch_report(visit.engine, connection, visit.customer, visit.batch)


async def _upload(visit: Visit, batch: Batch) -> tuple[str, str]:
    """Where this page PUTs the file to, and where other programs do: by the address that they know."""
    url = await upload_url(visit.request, await signer_of(visit.request), batch)
    own = url if batch.source == Source.DIRECT else "/uploads/" + url.rpartition("/")[2]
    return own, url


async def _look_soon(visit: Visit) -> Look | None:
    """The preflight if it does not take long; it is computed to its end all the same."""
    looking = asyncio.create_task(_look(visit))
    done, _ = await asyncio.wait({looking}, timeout=_SOON)
    if not done:
        looking.cancel()
    return looking.result() if done else None


async def _look(visit: Visit) -> Look:
    contact = visit.request.query_params.get("contact", "").strip() or None
    problem = None
    try:
        found = await visit.preflights.get(visit.customer, visit.batch, contact)
    except NotFound as error:
        if contact is None:
            raise
        problem = error.message
        found = await visit.preflights.get(visit.customer, visit.batch)
    return Look(found, await first_rows(visit.engine, visit.customer, visit.batch), contact, problem)


async def live(visit: Visit) -> AsyncIterator[Fragments]:
    """How far the file is; once it is read, what would happen. The end has come with that: nothing more changes."""
    await _report(visit)  # a missing one is told by a status
    return _fragments(visit)


async def _fragments(visit: Visit) -> AsyncIterator[Fragments]:
    came = False  # whether the file was still on its way when the stream began
    async for watched in visit.watches.follow(visit.customer, visit.batch):
        held = watched.report.batch.held
        came = came or not held
        parts = await _parts(visit, watched.report, None)
        yield parts if came else {"stage": parts["stage"]}  # the page may show already what would happen
        if stage_of(watched.report.batch) == "started":
            return
        if held:
            async for fragments in _until_seen(visit, watched.report):
                yield fragments
            return


async def _until_seen(visit: Visit, report: BatchReport) -> AsyncIterator[Fragments]:
    """What would happen, once it is known. Until then signs of life alone: the page may show it already."""
    looking = asyncio.create_task(_look(visit))
    try:
        while not (await asyncio.wait({looking}, timeout=_AGAIN))[0]:
            yield {}
        yield await _parts(visit, report, looking.result())
    finally:
        looking.cancel()


async def _parts(visit: Visit, report: BatchReport, look: Look | None) -> Fragments:
    stage, customer = stage_of(report.batch), visit.customer
    progress: FileProgress = await file_progress(visit.engine, report.batch)
    return {
        "stage": macro("review_parts.html", "stage", report, stage, progress, customer, visit.may_edit),
        "review": macro("review_parts.html", "review", report, stage, look, customer),
    }


async def submit(visit: Visit) -> Response:
    """Start it, or discard it; or take the file of a form, from a browser without scripts."""
    if is_file_form(visit.request):
        return await _take_file(visit)
    acts: dict[str, Control] = {"start": control.resume, "discard": control.cancel}
    act = (await visit.form()).get("act", "")
    among("act", act, acts)
    return await steer(visit, act, acts[act])


async def _take_file(visit: Visit) -> Response:
    async with single(visit.engine.pool) as connection:
        batch = await batches.of_customer(connection, visit.customer, visit.batch)
    refuse_upload(visit.engine, batch)
    body = whole_body(visit.request, visit.engine.settings)
    actor = visit.actor

    async def note(connection: Connection, received: Received) -> None:
        detail = {"bytes": received.bytes, "sha256": received.sha256}
        await audit.record(connection, actor, "upload", f"batch {batch.id}", detail)

    file = await file_of(visit.request, body)
    await take(visit.engine, batch.id, file.content, None, note)  # its first bytes tell how it is compressed
    return see_other(f"{HOME}/{visit.customer}/new/{batch.id}")


PAGE = Page("/{customer:int}/new/{batch}", show, submit, live=live)
