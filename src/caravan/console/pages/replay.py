"""Send all dead letters of a step once more: how many, before it is confirmed."""

from starlette.responses import Response

from caravan.access import audit
from caravan.api.batches import kept
from caravan.api.spelling import among
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine.dead_letters import replay
from caravan.errors import InvalidInput
from caravan.queries.batch import batch_report
from caravan.queries.dead_letters import steps_of
from caravan.store import dead_letters
from caravan.store.database import single


async def show(visit: Visit) -> Response:
    """The sentence with the number, and the button."""
    batch = await kept(visit.engine, visit.customer, visit.batch)
    async with single(visit.engine.pool) as connection:
        report = await batch_report(visit.engine, connection, visit.customer, visit.batch)
        steps = steps_of(await dead_letters.of_batch(connection, batch.id, None))
    path = f"{HOME}/{visit.customer}/batches/{batch.id}"
    step = visit.request.query_params.get("step", "")
    if step not in steps:  # none of a step's are left, or none was named
        among("step", step or None, [each.step for each in report.ledger.steps])
        return see_other(f"{path}/dead-letters")
    return visit.page("replay.html", report=report, path=path, step=step, count=steps[step], may_edit=visit.may_edit)


async def submit(visit: Visit) -> Response:
    """Do it, if there are still as many as the page said."""
    form = await visit.form()
    step, count = form.get("step", ""), form.get("count", "")
    if not (count.isascii() and count.isdigit() and len(count) < 12):
        raise InvalidInput("How many are sent once more is a number; open the page and try again.")
    async with visit.engine.pool.connection() as connection, connection.transaction():
        batch = await replay(visit.engine, connection, visit.customer, visit.batch, step, int(count))
        detail = {"step": step, "count": int(count)}
        await audit.record(connection, visit.actor, "replay_dead_letters", f"batch {batch.id}", detail)
    return see_other(f"{HOME}/{visit.customer}/batches/{batch.id}")


PAGE = Page("/{customer:int}/batches/{batch}/replay", show, submit)
