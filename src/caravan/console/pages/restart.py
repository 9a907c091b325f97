"""Start again with those who left a step with some outcome: which, and with how many, before it is confirmed."""

import hashlib
import secrets

from starlette.responses import Response

from caravan.access import audit
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine.restart import restart
from caravan.errors import Conflict, InvalidInput
from caravan.queries.batch import batch_report
from caravan.queries.restart import Prospect, prospect
from caravan.store import idempotency
from caravan.store.database import Connection, single
from caravan.store.idempotency import Answer, Key
from caravan.store.ledger import Outcome


async def show(visit: Visit) -> Response:
    """The choice, and what it would do."""
    async with single(visit.engine.pool) as connection:
        report = await batch_report(visit.engine, connection, visit.customer, visit.batch)
    met = report.ledger.outcomes  # that there were, and how many times each
    query = visit.request.query_params
    outcome = query.get("outcome") or (Outcome.FAILED if Outcome.FAILED in met else next(iter(met), Outcome.FAILED))
    step = query.get("step") or None
    told: Prospect | None = None
    refusal = None
    try:
        told = await prospect(visit.engine, visit.customer, visit.batch, outcome, step)
    except (Conflict, InvalidInput) as error:
        refusal = error.message
    return visit.page(
        "restart.html",
        report=report,
        path=f"{HOME}/{visit.customer}/batches/{report.batch.id}",
        met=met,
        outcome=outcome,
        step=step,
        prospect=told,
        refusal=refusal,
        once=secrets.token_hex(16),
        may_edit=visit.may_edit,
    )


async def submit(visit: Visit) -> Response:
    """Open the new batch and go on to it. A form that is sent twice, as by a double click, opens one."""
    form = await visit.form()
    outcome, step, hold = form.get("outcome", ""), form.get("step") or None, form.get("hold") == "yes"
    asked = f"{visit.batch}\n{outcome}\n{step}\n{hold}"
    key = Key(visit.customer, f"console {form.get('once', '')}", hashlib.sha256(asked.encode()).hexdigest())
    async with visit.engine.pool.connection() as connection, connection.transaction():
        known = await idempotency.claim(connection, key, visit.engine.clock.now())
        if known is None:
            known = Answer(303, {"batch": await _open(visit, connection, outcome, step, hold=hold)})
            await idempotency.keep(connection, key, known)
    return see_other(f"{HOME}/{visit.customer}/batches/{known.body['batch']}")


async def _open(visit: Visit, connection: Connection, outcome: str, step: str | None, *, hold: bool) -> str:
    made = await restart(visit.engine, connection, visit.customer, visit.batch, outcome, step, hold=hold)
    actor = visit.actor
    detail = {"new": made.id, "outcome": outcome, "step": step, "hold": hold}
    await audit.record(connection, actor, "restart", f"batch {visit.batch}", detail)
    await audit.record(connection, actor, "open", f"batch {made.id}", {"restart_of": visit.batch})
    return made.id


PAGE = Page("/{customer:int}/batches/{batch}/restart", show, submit)
