"""The rows of a batch's file that were refused: by reason, with the first of each; all of one, page after page."""

import asyncio
from urllib.parse import urlencode

from starlette.responses import Response

from caravan.api.batches import kept, rejects_list
from caravan.api.spelling import among
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit
from caravan.engine.engine import Engine
from caravan.errors import InvalidInput
from caravan.intake.rejects import Reject, RejectCode, first_rejects, read_rejects
from caravan.lists import Form
from caravan.queries.batch import batch_report
from caravan.store.batches import Batch
from caravan.store.database import single

_FIRST, _ON_A_PAGE = 5, 50
_LARGEST = 2**63


async def show(visit: Visit) -> Response:
    """The page, or with `download` the whole list as a file."""
    query = visit.request.query_params
    batch = await kept(visit.engine, visit.customer, visit.batch)
    code = query.get("code") or None
    among("code", code, RejectCode)
    wanted = None if code is None else RejectCode(code)
    form = query.get("download")
    among("download", form, Form)
    if form is not None:
        return await rejects_list(visit.engine, batch, Form(form), wanted)
    async with single(visit.engine.pool) as connection:
        report = await batch_report(visit.engine, connection, visit.customer, visit.batch)
    counts = {RejectCode(each): rows for each, rows in report.ledger.rejected.items()}
    if wanted is None:
        found, following = await asyncio.to_thread(_first, visit.engine, batch, counts), None
    else:
        rows = await asyncio.to_thread(_some, visit.engine, batch, wanted, _line(query.get("after", "0")))
        found, more = {wanted: rows[:_ON_A_PAGE]}, len(rows) > _ON_A_PAGE
        following = "?" + urlencode({"code": wanted, "after": rows[_ON_A_PAGE - 1].line}) if more else None
    path = f"{HOME}/{visit.customer}/batches/{batch.id}"
    return visit.page(
        "rejects.html", report=report, path=path, counts=counts, found=found, code=wanted, following=following
    )


def _first(engine: Engine, batch: Batch, counts: dict[RejectCode, int]) -> dict[RejectCode, list[Reject]]:
    if batch.rejects is None:
        return {}
    with engine.files.local(batch.rejects) as path:
        return first_rejects(path, {code: min(rows, _FIRST) for code, rows in counts.items()})


def _some(engine: Engine, batch: Batch, code: RejectCode, after: int) -> list[Reject]:
    if batch.rejects is None:
        return []
    with engine.files.local(batch.rejects) as path:
        found = read_rejects(path, after, code)
        return [each for each, _ in zip(found, range(_ON_A_PAGE + 1), strict=False)]


def _line(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < _LARGEST):
        raise InvalidInput(f"There is no line {text!r}.")
    return int(text)


PAGE = Page("/{customer:int}/batches/{batch}/rejects", show)
