"""By what a cohort's messages go out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from caravan.delivery.channel import Channel


@dataclass(frozen=True, slots=True)
class Way:
    """The channel, and what of it others share."""

    channel: Channel[Any]
    relay: str | None = None  # where the channel has relays
    providers_of: Callable[[pa.Table], Awaitable[list[str]]] | None = None  # of each row of CONTACTS
