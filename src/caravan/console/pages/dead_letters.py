"""The dead letters of a batch's webhooks: whom a step could not reach, for good, by step; and sending one once more."""

import asyncio
from urllib.parse import urlencode

from starlette.responses import Response

from caravan.access import audit
from caravan.api.batches import kept
from caravan.api.dead_letters import letters_list
from caravan.api.spelling import among
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine.dead_letters import replay_one
from caravan.errors import InvalidInput
from caravan.lists import Form
from caravan.queries.batch import batch_report
from caravan.queries.dead_letters import some_letters, steps_of
from caravan.store import dead_letters
from caravan.store.batches import BatchState
from caravan.store.database import single

_ON_A_PAGE = 50
_LARGEST = 2**31


async def show(visit: Visit) -> Response:
    """The page, or with `download` the list as a file."""
    query = visit.request.query_params
    batch = await kept(visit.engine, visit.customer, visit.batch)
    async with single(visit.engine.pool) as connection:
        report = await batch_report(visit.engine, connection, visit.customer, visit.batch)
        letters = await dead_letters.of_batch(connection, batch.id, None)
    step = query.get("step") or None
    among("step", step, [each.step for each in report.ledger.steps])
    form = query.get("download")
    among("download", form, Form)
    if form is not None:
        return await letters_list(visit.engine, batch, Form(form), step)
    after = _number(query.get("after", "0"))
    wanted = [each for each in letters if step is None or each.step == step]
    found = await asyncio.to_thread(some_letters, visit.engine.files, wanted, after, _ON_A_PAGE + 1)
    return visit.page(
        "dead_letters.html",
        report=report,
        path=f"{HOME}/{visit.customer}/batches/{batch.id}",
        steps=steps_of(letters),
        step=step,
        lines=found[:_ON_A_PAGE],
        after=after,
        following=_query(step, after + _ON_A_PAGE) if len(found) > _ON_A_PAGE else None,
        before=_query(step, max(0, after - _ON_A_PAGE)) if after else None,
        may_replay=visit.may_edit and batch.state in (BatchState.RUNNING, BatchState.COMPLETED),
        may_edit=visit.may_edit,
    )


async def submit(visit: Visit) -> Response:
    """Send the dead letters of one contact at a step once more."""
    form = await visit.form()
    step, contact = form.get("step", ""), form.get("contact", "")
    async with visit.engine.pool.connection() as connection, connection.transaction():
        batch = await replay_one(visit.engine, connection, visit.customer, visit.batch, step, contact)
        detail = {"step": step, "contact": contact}
        await audit.record(connection, visit.actor, "replay_dead_letters", f"batch {batch.id}", detail)
    return see_other(f"{HOME}/{visit.customer}/batches/{batch.id}")


def _query(step: str | None, after: int) -> str:
    """The address of these dead letters, behind the path of the page."""
    return "?" + urlencode({**({"step": step} if step else {}), **({"after": after} if after else {})})


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:20]) < _LARGEST):
        raise InvalidInput(f"There is no place {text!r} in this list.")
    return int(text)


PAGE = Page("/{customer:int}/batches/{batch}/dead-letters", show, submit)
