"""Clear the sandbox: all mails of all customers. For operators, once they have confirmed it."""

from starlette.responses import Response

from caravan.access import audit
from caravan.console.page import Page
from caravan.console.pages.sandbox import PATH
from caravan.console.visit import Visit, see_other
from caravan.queries import sandbox
from caravan.store.database import single


async def show(visit: Visit) -> Response:
    """The question, with how many mails it is about."""
    visit.operators_only()
    async with single(visit.engine.pool) as connection:
        kept = await sandbox.count(connection)
    return visit.page("sandbox_clear.html", kept=kept, path=PATH)


async def submit(visit: Visit) -> Response:
    """Clear it."""
    visit.operators_only()
    actor = visit.actor
    async with visit.engine.pool.connection() as connection, connection.transaction():
        cleared = await sandbox.clear(connection)
        await audit.record(connection, actor, "clear", "sandbox", {"messages": cleared})
    return see_other(PATH)


PAGE = Page("/sandbox/clear", show, submit)
