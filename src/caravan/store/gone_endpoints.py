"""Endpoints at which a step of a batch found nothing any more, for good."""

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

from caravan.store import sql
from caravan.store.database import Connection, rows

_Q = sql.load("caravan.store", "gone_endpoints.sql")
_MOST = 1_000  # of one step


async def add(connection: Connection, batch: str, step: str, url: str, reason: str, now: datetime) -> None:
    """Note that there is nothing at `url` any more. Nothing happens if it is known."""
    values = {"batch": batch, "step": step, "url": _hash(url), "reason": reason, "now": now, "most": _MOST}
    await connection.execute(_Q.add, values)


async def among(connection: Connection, batch: str, step: str, urls: Iterable[str]) -> dict[str, str]:
    """Which of these are gone, each with the reason."""
    hashes = {_hash(each): each for each in urls}
    found = await rows(connection, _Q.among, batch=batch, step=step, urls=list(hashes))
    return {hashes[bytes(each["url"])]: each["reason"] for each in found}


async def forget(connection: Connection, batch: str, step: str) -> None:
    """Nothing of this step is taken for gone any more."""
    await connection.execute(_Q.forget, {"batch": batch, "step": step})


def _hash(url: str) -> bytes:
    return sha256(url.encode("utf-8", "surrogatepass")).digest()
