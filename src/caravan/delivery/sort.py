"""Sorting a cohort by provider: whoever goes to one that is paced or stopped makes a cohort of their own.

So these stand for their slots, and all others go on. A cohort is sorted before anything of it is sent; if a provider
gets a pace later, those who are left are sorted then.
"""

import asyncio
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from caravan.delivery.cohort_delivery import CohortDelivery
from caravan.delivery.envelope import Message
from caravan.steps.cohort_files import write_part
from caravan.steps.move import Move, Share
from caravan.store import routes
from caravan.store.files import Draft


async def sort_out(delivery: CohortDelivery[Message], contacts: pa.Table) -> Move | None:
    """The move that leaves everybody where they are, sorted by provider; None where there is nothing to be sorted.
    Nothing of the cohort may have been sent."""
    if not (apart := await unsorted(delivery)):
        return None
    assert delivery.providers_of is not None
    of_each = np.array([name if name in apart else "" for name in await delivery.providers_of(contacts)], dtype=object)
    names, done = sorted(set(of_each)), ",".join(sorted(apart))
    if len(names) > 1:
        return await asyncio.to_thread(_cut, delivery, contacts, of_each, names, done)
    async with delivery.tools.pool.connection() as connection:
        await routes.sort(connection, delivery.cohort.id, delivery.claim, names[0] or None, done)
    delivery.now_of(names[0] or None, done)
    return None


async def unsorted(delivery: CohortDelivery[Message]) -> frozenset[str]:
    """The providers that are paced or stopped, if the cohort has not been sorted for all of them."""
    if delivery.providers_of is None or delivery.route.provider is not None:
        return frozenset()
    apart = await delivery.tools.pacer.providers(delivery.cohort.customer, delivery.name)
    return frozenset() if apart <= delivery.sorted_for else apart


def _cut(
    delivery: CohortDelivery[Message], contacts: pa.Table, of_each: np.ndarray, names: list[str], done: str
) -> Move:
    with Draft(delivery.tools.files) as draft:

        def parts() -> Iterator[Share]:
            for name in names:
                chosen = contacts.filter(pa.array(of_each == name))
                part = write_part(delivery.tools, draft, delivery.cohort, chosen, "provider")
                yield Share(part, name or None, done)

        return Move(passages=[], outcomes={}, records=[], shares=list(parts()))
