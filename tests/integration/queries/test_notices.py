"""What an operator is told of a running installation."""

from caravan.clock import Clock
from caravan.queries.notices import Notices
from tests.integration.conftest import System
from tests.integration.journeys_for_tests import WAIT, contacts


async def test_what_fails_and_what_is_stuck_is_told_once_and_nothing_of_before(system: System) -> None:
    await system.publish(WAIT)
    before = await system.start(b"[]")
    await system.ended(before)
    notices = Notices(Clock().now())
    async with system.engine.pool.connection() as connection:
        assert await notices.look(connection) == []
        failed = await system.start(b"")
        await system.ended(failed)
        standing = await system.start(contacts(250))
        await system.until(standing, lambda found: found["state"] == "running")
        await connection.execute(
            "update cohorts set stuck_at = now(), reason = 'It broke.' where batch_id = %s", (standing,)
        )
        await connection.commit()
        assert await notices.look(connection) == [
            f"batch {failed} of journey 1 failed: The file is empty.",
            f"batch {standing}: 250 contacts are stuck at days: It broke. "
            f"`caravan batch retry {standing}` takes them up once more.",
        ]
        assert await notices.look(connection) == []
