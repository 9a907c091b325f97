"""What belongs to a customer that is removed."""

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "removal.sql")


async def batches_of(connection: Connection, customer: int) -> list[str]:
    """All its batches."""
    return [str(each["id"]) for each in await rows(connection, _Q.batches, customer=customer)]


async def open_batches_of(connection: Connection, customer: int) -> list[str]:
    """Those that have not ended."""
    return [str(each["id"]) for each in await rows(connection, _Q.open_batches, customer=customer)]


async def delete_tokens(connection: Connection, customer: int) -> None:
    """Take all its tokens, so that nothing starts any more."""
    await connection.execute(_Q.delete_tokens, {"customer": customer})


async def is_in_work(connection: Connection, customer: int) -> bool:
    """Whether a worker has claimed any of its cohorts."""
    claimed = await row(connection, _Q.claimed, customer=customer)
    return bool(claimed and claimed["there"])
