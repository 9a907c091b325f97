"""A delivery: one message for one contact on one visit to one step, ready to go out."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from caravan.delivery.hours import Hours

Message = TypeVar("Message")


@dataclass(frozen=True, slots=True)
class Envelope(Generic[Message]):
    """What gates see of a delivery, and the message that only its channel understands."""

    recipient: str  # where it goes on its channel: an address, a number, a URL
    key: str  # the delivery key: the same at each attempt
    message: Message
    topic: str | None = None  # what it is about, where a recipient can say so much for itself
    transactional: bool = False  # the recipient needs it, whatever else it does not want
    sender: str | None = None  # whom answers go to, on a channel that has answers
    contact: str | None = None  # the contact's id, for the same
    hours: Hours | None = None  # in which its step sends
    zone: str = ""  # by which those hours are read, as the contact's properties name it
