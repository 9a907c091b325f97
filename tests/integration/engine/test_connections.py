"""How many connections to PostgreSQL a process takes."""

from caravan.channels.sandbox import Sandbox
from caravan.settings import Settings
from caravan.store.database import row
from tests.integration.conftest import System, open_house, working
from tests.integration.journeys_for_tests import SPRING, contacts


async def _connections(system: System) -> int:
    query = (
        "select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend'"
    )
    async with system.engine.pool.connection() as connection:
        found = await row(connection, query)
    assert found is not None
    return int(found["count"])


async def test_one_connection_is_enough_and_no_more_are_taken_but_one_that_listens(
    settings: Settings, sandbox: Sandbox
) -> None:
    """So no work needs a second one before it gives back its first."""
    few = settings.model_copy(update={"database_connections": 1, "smtp_url": sandbox.url})
    async with open_house(few, sandbox) as system, working(system):
        await system.publish(SPRING)
        batch = await system.start(contacts(450))
        await system.until(batch, lambda b: b["ledger"]["steps"][3]["standing"] == 450)
        assert await _connections(system) <= 2
        await system.turn(days=3)
        found = await system.ended(batch)
    assert sum(found["ledger"]["steps"][4]["outcomes"].values()) == 450
    assert len(sandbox.mails) == 450
