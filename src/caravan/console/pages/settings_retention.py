"""Keep contacts for another number of days: what that deletes, before it is confirmed."""

from starlette.responses import Response

from caravan.access import audit
from caravan.access.users import Role
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine import retention
from caravan.errors import Forbidden, InvalidInput
from caravan.store import customers
from caravan.store import retention as store
from caravan.store.database import single


async def show(visit: Visit) -> Response:
    """The sentences with today's numbers, and the button."""
    if not visit.may_own:
        raise Forbidden(f"Only an owner may do this; you are {visit.role} here.")
    asked = visit.request.query_params.get("days", "")
    days = _days(asked)
    kept = visit.engine.settings.retention_days if days is None else days
    async with single(visit.engine.pool) as connection:
        own = await customers.retention_of(connection, visit.customer)
        batches, contacts = await store.count_outlived(connection, visit.customer, visit.engine.clock.now(), kept)
    return visit.page(
        "settings_retention.html",
        days=days,
        kept=kept,
        before=visit.engine.settings.retention_days if own is None else own,
        batches=batches,
        contacts=contacts,
        back=f"{HOME}/{visit.customer}/settings",
    )


async def submit(visit: Visit) -> Response:
    """Do it."""
    days = _days((await visit.form()).get("days", ""))
    async with visit.engine.pool.connection() as connection, connection.transaction():
        await retention.set_days(connection, visit.customer, days)
        subject = f"customer {visit.customer}"
        await audit.record(connection, visit.actor, "set_retention", subject, {"days": days})
    return see_other(f"{HOME}/{visit.customer}/settings")


def _days(text: str) -> int | None:
    """Raises `InvalidInput` for what is no number of days; nothing means: as the installation is set."""
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > retention.LONGEST:
        raise InvalidInput(f"Days are a number from 0 to {retention.LONGEST:,}; {text[:50]!r} is none.")
    return int(text)


PAGE = Page("/{customer:int}/settings/retention", show, submit, submit_needs=Role.OWNER)
