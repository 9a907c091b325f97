"""What came back to a batch, live: counted by step, when it came, and bounces, complaints and replies one by one."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode

from starlette.responses import Response

from caravan.api.batches import kept
from caravan.api.returns import returns_list
from caravan.api.spelling import among
from caravan.console.chart import chart
from caravan.console.page import Fragments, Page
from caravan.console.rendering import macro
from caravan.console.visit import HOME, Visit
from caravan.errors import InvalidInput
from caravan.lists import Form
from caravan.queries.batch import batch_report
from caravan.queries.batch_returns import ReturnsState, batch_returns, returns_over_time
from caravan.queries.watch import RETURNS_SHOWN as _ON_A_PAGE
from caravan.returns.returned import KEPT_KINDS
from caravan.store import returns
from caravan.store.database import single

_PARTS = "returns_parts.html"
_LARGEST = 2**63


async def show(visit: Visit) -> Response:
    """The page, or with `download` the whole list as a file."""
    query = visit.request.query_params
    batch = await kept(visit.engine, visit.customer, visit.batch)
    step, kind, form = (query.get(name) or None for name in ("step", "kind", "download"))
    among("kind", kind, KEPT_KINDS)
    among("download", form, Form)
    before = _number(query.get("before"))
    async with single(visit.engine.pool) as connection:
        report = await batch_report(visit.engine, connection, visit.customer, visit.batch)
        steps = [each.step for each in report.ledger.steps]
        among("step", step, steps)
        if form is not None:
            return await returns_list(visit.engine, batch, Form(form), step, kind)
        found = await returns.newest(connection, batch.id, limit=_ON_A_PAGE + 1, before=before, step=step, kind=kind)
        moved, steps_back = await returns_over_time(connection, batch.id), await batch_returns(connection, report)
    wanted = {name: value for name, value in (("step", step), ("kind", kind)) if value is not None}
    return visit.page(
        "returns.html",
        report=report,
        path=f"{HOME}/{visit.customer}/batches/{batch.id}",
        kinds=KEPT_KINDS,
        steps=steps,
        step=step,
        kind=kind,
        before=before,
        narrowed=f"{urlencode(wanted)}&" if wanted else "",
        found=found[:_ON_A_PAGE],
        following=found[_ON_A_PAGE - 1].id if len(found) > _ON_A_PAGE else None,
        moved=chart(moved),
        returns=steps_back,
    )


async def live(visit: Visit) -> AsyncIterator[Fragments]:
    """The counts, when it came, and, where the page shows the newest of all, these."""
    await kept(visit.engine, visit.customer, visit.batch)
    return _fragments(visit.watches.follow_returns(visit.customer, visit.batch), visit.customer)


async def _fragments(followed: AsyncIterator[ReturnsState], customer: int) -> AsyncIterator[Fragments]:
    async for state in followed:
        yield {
            "returns": macro(_PARTS, "returns", state.steps, state.report, customer, linked=False),
            "over-time": macro(_PARTS, "over_time", chart(state.moved)),
            "returned": macro(_PARTS, "rows", state.newest[:_ON_A_PAGE], state.report, customer),
        }


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < _LARGEST):
        raise InvalidInput(f"There is no place {text!r} in this list.")
    return int(text)


PAGE = Page("/{customer:int}/batches/{batch}/returns", show, live=live)
