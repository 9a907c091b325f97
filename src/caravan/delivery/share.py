"""A large cohort is shared out before it is sent: cut into smaller ones, which any sender may take.

A cohort has one sender at a time, and sending is the slowest thing that is done to it: 65,536 mails take ten seconds of
a core. Uncut, a batch of 20,000 would have one sender, however many there are. Cutting costs a hundredth of that.
"""

import asyncio
from collections.abc import Iterator

import pyarrow as pa

from caravan.delivery.tools import DeliveryTools
from caravan.steps.cohort_files import write_part
from caravan.steps.move import Move, Share
from caravan.store import batches
from caravan.store.cohorts import Cohort
from caravan.store.files import Draft

#: Of a batch, about: for that many senders. A batch of millions has as many cohorts anyway, and is not cut.
_SHARES = 128


async def share_out(cohort: Cohort, contacts: pa.Table, tools: DeliveryTools) -> Move | None:
    """The move that leaves everybody where they are, in shares; None if the cohort is not to be cut. Nothing of it may
    have been sent."""
    window, least = tools.pacing.window_size, tools.pacing.share_windows
    if cohort.attempt > 1 or contacts.num_rows < 2 * least * window:
        return None
    async with tools.pool.connection() as connection:
        batch = await batches.get(connection, cohort.batch)
    size = share_size(contacts.num_rows, batch.entered, window, least)
    return await asyncio.to_thread(_cut, cohort, contacts, tools, size) if size < contacts.num_rows else None


def share_size(contacts: int, entered: int, window: int, windows: int) -> int:
    """How many of a cohort's contacts a share has: whole windows, but for the last one. A share is not cut again.

    `entered` is how many contacts the whole batch has, `window` how many a sender has in flight at one moment,
    `windows` how many of those a share has at least.
    """
    count = contacts // max(windows * window, entered // _SHARES)
    if count < 2:
        return contacts
    return -(-contacts // (count * window)) * window


def _cut(cohort: Cohort, contacts: pa.Table, tools: DeliveryTools, size: int) -> Move:
    with Draft(tools.files) as draft:
        parts = [write_part(tools, draft, cohort, each, "share") for each in _slices(contacts, size)]
        shares = [Share(part, cohort.provider, cohort.sorted_for) for part in parts]
        return Move(passages=[], outcomes={}, records=[], shares=shares)


def _slices(contacts: pa.Table, size: int) -> Iterator[pa.Table]:
    for first in range(0, contacts.num_rows, size):
        yield contacts.slice(first, size)
