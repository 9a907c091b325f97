"""Send a message to each contact of a cohort, window by window (guarantee 3). All message steps share it."""

import asyncio

import pyarrow as pa

from caravan.delivery.build_move import all_outcomes, build_move
from caravan.delivery.cohort_delivery import CohortDelivery
from caravan.delivery.envelope import Message
from caravan.delivery.outcomes import outcome_of_mark, record_of
from caravan.delivery.send_windows import send_windows
from caravan.delivery.share import share_out
from caravan.delivery.sort import sort_out
from caravan.delivery.trace import Mark, drop_trace, read_trace
from caravan.steps.move import Move
from caravan.store.cohorts import read_contacts
from caravan.store.windows import Verdict


async def deliver(delivery: CohortDelivery[Message]) -> Move | None:
    """Send to every contact of the cohort that is still to be sent to; None if that has to go on later."""
    contacts = await asyncio.to_thread(_read, delivery)
    if not await delivery.windows.all() and (shares := await _apart(delivery, contacts)):
        return shares
    await _recover_orphaned_windows(delivery, contacts)
    verdict, trouble = await send_windows(delivery, contacts)
    if verdict in (Verdict.PAUSED, Verdict.LOST, Verdict.TURN_OVER, Verdict.PACED):
        return None
    outcomes = all_outcomes(delivery, contacts, await delivery.windows.all(), verdict, trouble)
    return await asyncio.to_thread(build_move, delivery, contacts, outcomes)


async def _apart(delivery: CohortDelivery[Message], contacts: pa.Table) -> Move | None:
    """The move that makes several cohorts of one that nothing was sent of: by provider, else of a large one."""
    return await sort_out(delivery, contacts) or await share_out(delivery.cohort, contacts, delivery.tools)


def _read(delivery: CohortDelivery[Message]) -> pa.Table:
    with delivery.tools.files.local(delivery.cohort.part.file) as path:
        return read_contacts(path)


async def _recover_orphaned_windows(delivery: CohortDelivery[Message], contacts: pa.Table) -> None:
    """Settle what an earlier claim left in flight: nothing of it is sent again blindly."""
    if all(window.record is not None for window in await delivery.windows.all()):
        return
    # The earlier claimant may be alive, and only have been silent for too long. Its lease runs out meanwhile; twice as
    # long, because its clock is another one.
    await asyncio.sleep(2 * delivery.tools.pacing.lease)
    for window in await delivery.windows.all():
        if window.record is not None:
            continue
        marks = read_trace(delivery.tools.traces, window.claim, window.first, window.size)
        now = delivery.tools.clock.now()
        outcomes = [outcome_of_mark(mark, delivery.on_unknown, now) for mark in marks or [Mark.UNDER_WAY] * window.size]
        await delivery.windows.recover(window.first, record_of(delivery, contacts, window.first, outcomes))
        drop_trace(delivery.tools.traces, window.claim, window.first)
