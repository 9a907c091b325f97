"""What an operator should know of: batches that failed, contacts that are stuck. One sentence each, told once."""

from datetime import datetime

from caravan.store import sql
from caravan.store.database import Connection, rows

_Q = sql.load("caravan.store", "notices.sql")


class Notices:
    """What has happened since it was asked last."""

    def __init__(self, since: datetime) -> None:
        self._failed_since = self._stuck_since = since

    async def look(self, connection: Connection) -> list[str]:
        """The sentences that are new."""
        failed = await rows(connection, _Q.failed, since=self._failed_since)
        stuck = await rows(connection, _Q.stuck, since=self._stuck_since)
        self._failed_since = max([self._failed_since, *(each["at"] for each in failed)])
        self._stuck_since = max([self._stuck_since, *(each["at"] for each in stuck)])
        return [
            *(f"batch {each['id']} of journey {each['journey']} failed: {each['error']}" for each in failed),
            *(
                f"batch {each['batch']}: {each['contacts']:,} contacts are stuck at {each['step']}: {each['reason']} "
                f"`caravan batch retry {each['batch']}` takes them up once more."
                for each in stuck
            ),
        ]
