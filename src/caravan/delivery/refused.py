"""Recipients that the other side refused for good: they are suppressed, and can be freed again like all others."""

from contextlib import suppress

from caravan.delivery.cohort_delivery import CohortDelivery
from caravan.delivery.envelope import Envelope, Message
from caravan.delivery.suppression import comparable
from caravan.store import suppressions
from caravan.store.database import AWAY
from caravan.store.suppressions import Reason, Suppression


async def suppress_refused(
    delivery: CohortDelivery[Message], envelope: Envelope[Message], reason: Reason, detail: str
) -> None:
    """Suppress the recipient of a delivery. Where the database is away, the next message finds out again."""
    cohort, channel = delivery.cohort, delivery.name
    found = Suppression(
        channel=channel,
        address=comparable(channel, envelope.recipient),
        topic=None,
        reason=reason,
        source=f"{channel}:refused",
        who="recipient" if reason is Reason.STOP else channel,
        at=delivery.tools.clock.now(),
        detail=f"batch {cohort.batch}, step {cohort.step}: {detail}",
    )
    with suppress(*AWAY):
        async with delivery.tools.pool.connection() as connection:
            await suppressions.add(connection, cohort.customer, [found])
