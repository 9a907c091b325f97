"""A delivery: one message for one contact on one visit to one step, ready to go out."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Message = TypeVar("Message")


@dataclass(frozen=True, slots=True)
class Envelope(Generic[Message]):
    """What gates see of a delivery, and the message that only its channel understands."""

    recipient: str  # where it goes on its channel: an address, a number, a URL
    key: str  # the delivery key: the same at each attempt
    message: Message
