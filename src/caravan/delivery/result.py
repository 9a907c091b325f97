"""What came of handing one message to the other side."""

from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """How one attempt ended, as far as this side can know."""

    SENT = "sent"  # the other side took it
    FAILED = "failed"  # refused for good, for this contact
    RETRY = "retry"  # certainly not delivered; may go better later
    UNKNOWN = "unknown"  # may have been delivered: the answer to the whole message never came
    UNREACHABLE = "unreachable"  # nothing could be sent: a trouble of the channel, not of the contact
    UNSUPPORTED = "unsupported_address"  # a non-ASCII mailbox, and the relay doesn't take those (RFC 6531)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcome of one attempt, for the journal."""

    result: Result
    detail: str  # one line for people, like "550 5.1.1 no such user"
    retry_after: float | None = None  # seconds, when the other side named them
