"""A customer is removed with all that belongs to it: rows, files, what its clients put into the store's inbox."""

import asyncio

from caravan.engine import control
from caravan.engine.engine import Engine, Note
from caravan.errors import Conflict, NotFound
from caravan.store import customers, entries, events, hits, removal, sandbox, users

_WORK_SECONDS = 10.0  # that workers get to end what they have in work; one that is dead never does
_PAUSE = 0.1


async def remove_customer(engine: Engine, customer: int, note: Note | None = None) -> int:
    """Cancel what runs, then delete everything, with a `note` in the last transaction; how many batches that were.
    Raises `NotFound` for a customer that does not exist. A sender in the middle of a cohort stops before its next
    window, since its claim is void.

    Files are deleted before the rows that name them, so that a removal that breaks off can be repeated, and once more
    afterwards: a worker may have been writing one.
    """
    async with engine.pool.connection() as connection:
        if not await customers.has_customer(connection, customer):
            raise NotFound(f"There is no customer {customer}.")
        found = await removal.batches_of(connection, customer)
    await _cancel_all(engine, customer)
    await _wait_for_workers(engine, customer)
    await asyncio.to_thread(_delete_files, engine, found)
    async with engine.pool.connection() as connection:
        await users.delete_roles_of(connection, customer)
        await events.forget_customer(connection, customer)
        await entries.forget_customer(connection, customer)
        await hits.forget_customer(connection, customer)
        deleted = await customers.delete_customer(connection, customer)
        if note is not None:
            await note(connection)
        await sandbox.forget(connection, deleted)
    await asyncio.to_thread(_delete_files, engine, deleted)
    await asyncio.to_thread(engine.files.delete_folder, f"attachments/{customer}")
    return len(deleted)


async def _cancel_all(engine: Engine, customer: int) -> None:
    """Take its tokens, so that nothing starts any more, and cancel its batches."""
    async with engine.pool.connection() as connection:
        await removal.delete_tokens(connection, customer)
    async with engine.pool.connection() as connection:
        for each in await removal.open_batches_of(connection, customer):
            try:
                await control.cancel(engine, connection, customer, each)
            except Conflict:  # it has just ended by itself
                continue


async def _wait_for_workers(engine: Engine, customer: int) -> None:
    """Until nothing of the customer's is in work any more, or for so long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _WORK_SECONDS
    while loop.time() < deadline:
        async with engine.pool.connection() as connection:
            in_work = await removal.is_in_work(connection, customer)
        if not in_work:
            return
        await asyncio.sleep(_PAUSE)


def _delete_files(engine: Engine, batches: list[str]) -> None:
    for batch in batches:
        engine.files.delete_folder(f"batches/{batch}")
        if engine.files.inbox is not None:
            engine.files.inbox.drop(batch)
