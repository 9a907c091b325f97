"""What came of handing one message to the other side."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from caravan.delivery.signal import Heard
from caravan.store.suppressions import Reason

_LONGEST_WAIT: Final = 86_400.0  # seconds; the longest wait that is honoured


class Result(StrEnum):
    """How one attempt ended, as far as this side can know."""

    SENT = "sent"  # the other side took it
    FAILED = "failed"  # refused for good, for this contact
    RETRY = "retry"  # certainly not delivered; may go better later
    UNKNOWN = "unknown"  # may have been delivered: the answer to the whole message never came
    UNREACHABLE = "unreachable"  # nothing could be sent: a trouble of the channel, not of the contact
    UNSUPPORTED = "unsupported_address"  # a non-ASCII mailbox, and the relay doesn't take those (RFC 6531)


@dataclass(frozen=True, slots=True)
class SendResult:
    """How one attempt ended, for the journal."""

    result: Result
    detail: str  # one line for people, like "550 5.1.1 no such user"
    retry_after: float | None = None  # seconds, more than 0, when the other side named them
    busy: bool = False  # the wait is asked of whoever sends to that place, and not about this message alone
    saved: str | None = None  # with `sent`: what the answer makes of the contact's properties, a JSON object
    suppress: Reason | None = None  # with `failed`: why its recipient is to get nothing any more
    gone: bool = False  # with `failed`: there is nothing at that place any more, for any message
    heard: Heard | None = None  # by which way it went, where the channel has several


def asked_wait(seconds: float) -> float | None:
    """The wait that the other side asks for, bounded by a day; None when it names no time in the future.

    "Again in 0 seconds" says nothing about when it will go better, so the own backoff decides then.
    """
    return min(seconds, _LONGEST_WAIT) if seconds > 0 else None
