"""Asking the database until it answers: what became of a window is known to its sender, and nowhere else as surely."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import psycopg

from caravan.delivery.cohort_delivery import CohortDelivery
from caravan.delivery.envelope import Message
from caravan.store.batches import clear_hindrance, note_hindrance
from caravan.store.database import AWAY

ASK_EVERY = 0.3  # seconds between two looks whether the batch was paused or cancelled; well within a lease
_LONGEST_ASK = 8.0  # seconds between two tries to note what was sent, while the database does not take it
_NO_RESOURCES = "53"  # PostgreSQL's class of errors for a full disk and the like

Answer = TypeVar("Answer")
_log = logging.getLogger(__name__)


async def insist(delivery: CohortDelivery[Message], ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask with growing delay until the database answers: what became of a window is known here, and nowhere else as
    surely. A worker that stops can't wait; its trace tells then."""
    delay = ASK_EVERY
    while True:
        try:
            answer = await ask()
            break
        except AWAY as error:
            if delivery.tools.stopping.is_set():
                raise
            await _complain(delivery, error)
        with suppress(TimeoutError):
            await asyncio.wait_for(delivery.tools.stopping.wait(), delay)
        delay = min(2 * delay, _LONGEST_ASK)
    if delay > ASK_EVERY:
        await _note_hindrance(delivery, None)
    return answer


async def _complain(delivery: CohortDelivery[Message], error: psycopg.Error) -> None:
    """Say why the sender waits: in the log, and on the batch if the database takes that little."""
    words = " ".join(str(error).split())
    _log.warning("A window of cohort %d waits for the database: %s", delivery.cohort.id, words)
    if (error.sqlstate or "").startswith(_NO_RESOURCES):
        why = (error.diag.message_primary or words).rpartition(": ")[2]  # before it stands a file of PostgreSQL's
        await _note_hindrance(delivery, f"PostgreSQL can't note what was sent, and is asked again and again: {why}.")


async def _note_hindrance(delivery: CohortDelivery[Message], hindrance: str | None) -> None:
    with suppress(*AWAY):
        async with delivery.tools.pool.connection() as connection:
            if hindrance is None:
                await clear_hindrance(connection, delivery.cohort.batch)
            else:
                await note_hindrance(connection, delivery.cohort.batch, hindrance)
