"""The PUTs of files that are under way, in whichever process of the API: one row each, which its process renews."""

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "batches.sql")


async def note(connection: Connection, batch: str, put: str) -> None:
    """A PUT to a batch is under way, as of now."""
    await connection.execute(_Q.note_put, {"put": put, "id": batch})


async def forget(connection: Connection, put: str) -> None:
    """A PUT has ended."""
    await connection.execute(_Q.forget_put, {"put": put})


async def are_any(connection: Connection, batch: str) -> bool:
    """Whether a PUT to a batch is under way."""
    found = await row(connection, _Q.any_put, id=batch)
    return bool(found and found["there"])


async def silent(connection: Connection, seconds: float) -> list[str]:
    """The batches with a PUT that has not been renewed for so long."""
    return [str(each["id"]) for each in await rows(connection, _Q.silent_puts, silence=seconds)]


async def forget_silent(connection: Connection, batch: str, seconds: float) -> None:
    """Forget those PUTs of a batch."""
    await connection.execute(_Q.forget_silent_puts, {"id": batch, "silence": seconds})


async def forget_all(connection: Connection) -> None:
    """At the start of a machine no upload is under way. Those of other machines are noted again within seconds."""
    await connection.execute(_Q.receiving_uploads)
