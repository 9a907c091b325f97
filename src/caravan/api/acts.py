"""The API's acts in the audit log: a call that changes something goes through `calls.py: once`, which enters it here.

The single starter's do not: a line for each of thousands of contacts a second would say no more than the journal does.
"""

from typing import Any

from fastapi import Request

from caravan.access import audit
from caravan.access.audit import Actor, ActorKind
from caravan.api.access import actor_of, address_of
from caravan.store.batches import Batch
from caravan.store.database import Connection

#: What is called otherwise than the function that serves it; the console's buttons have the same words.
_NAMES = {
    "trigger": "open",
    "cancel": "recall",
    "pause_journey": "pause",
    "resume_journey": "resume",
    "cancel_journey": "recall",
}


async def record_act(
    request: Request, connection: Connection, answer: dict[str, Any], detail: dict[str, Any] | None
) -> None:
    """Enter the act that this call is, in the transaction that does it: named by the function that serves the call, and
    done to what its path names, or, where that is new, its answer."""
    served: str = request.scope["endpoint"].__name__
    subject = _subject(request.path_params, answer)
    await audit.record(connection, actor_of(request), _NAMES.get(served, served), subject, detail or None)


async def record_upload(request: Request, connection: Connection, batch: Batch, detail: dict[str, Any]) -> None:
    """Enter that a file was taken. An uploadUrl needs no token: the act is that of whoever opened the batch, with the
    address from which the file came."""
    address = address_of(request)
    opened = await audit.starter_of(connection, batch.customer_id, batch.id, address)
    actor = opened or Actor(ActorKind.TOKEN, "uploadUrl", batch.customer_id, address)
    await audit.record(connection, actor, "upload", f"batch {batch.id}", detail)


def _subject(path: dict[str, Any], answer: dict[str, Any]) -> str:
    for kind, name in (("batch", path.get("batchid") or answer.get("batchId")), ("journey", path.get("journeyid"))):
        if name is not None:
            return f"{kind} {name}"
    return f"customer {path['customerid']}"
