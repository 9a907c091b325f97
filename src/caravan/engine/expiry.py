"""Until when a batch may send."""

from datetime import datetime

from caravan.delivery.expiry import parse_expiry
from caravan.engine.engine import Engine
from caravan.errors import Conflict, InvalidInput
from caravan.store.batches import Batch


def sends_until(engine: Engine, expires: str | None) -> datetime | None:
    """The moment that a caller's `expires` names; a duration counts from now. Raises `InvalidInput` for what is neither
    and for what is over already."""
    if expires is None:
        return None
    try:
        found = parse_expiry(expires)
    except ValueError as error:
        raise InvalidInput(f"expires: {error}.") from None
    now = engine.clock.now()
    until = found if isinstance(found, datetime) else now + found
    if until <= now:
        raise InvalidInput(f"expires: {until:%Y-%m-%d %H:%M:%S} UTC is over, so nothing would be sent.")
    return until


def restarted_until(engine: Engine, batch: Batch, expires: str | None) -> datetime | None:
    """The same for a restart of contacts of a batch, which expires as that does if the caller names nothing else.
    Raises `Conflict` too, if that is over."""
    if expires is not None or batch.sends_until is None:
        return sends_until(engine, expires)
    if batch.sends_until <= engine.clock.now():
        raise Conflict(
            f"Batch {batch.id} has expired: nothing of it is sent after {batch.sends_until:%Y-%m-%d %H:%M:%S} UTC. "
            "Name another `expires` to send it all the same."
        )
    return batch.sends_until
