"""What all channels have in common: opened once, then given message after message."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TypeVar

from caravan.delivery.result import SendResult

Message = TypeVar("Message", contravariant=True)


class Channel(Protocol[Message]):
    """A way to reach contacts. Many tasks may send at the same time; the channel bounds its connections."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def send(self, message: Message, on_data: Callable[[], None] | None = None) -> SendResult:
        """Attempt once. Trouble of the network or of the other side is a `SendResult`, never an exception.

        `on_data` is called just before the message itself goes out: until then it is certainly not delivered.
        """
        ...
