"""A channel without a network, for tests of what stands above: it does as its script says."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Generic, Self, TypeVar

from caravan.delivery.result import Delivery, Result

Message = TypeVar("Message")
Script = Callable[[Message], Delivery]

_BEFORE_CONTENT = frozenset({Result.UNREACHABLE, Result.UNSUPPORTED})


class FakeChannel(Generic[Message]):
    """Answers each message as `script` says: a function of it, or deliveries one after the other, then
    `sent`.

    `attempts` holds all messages that were tried, `sent` those that the other side has (or may have:
    unknown).
    """

    def __init__(self, script: Script[Message] | Iterable[Delivery] = ()) -> None:
        self.attempts: list[Message] = []
        self.sent: list[Message] = []
        self.is_open = False
        self._script = script if callable(script) else _one_by_one(script)

    async def __aenter__(self) -> Self:
        self.is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_open = False

    async def send(self, message: Message, on_data: Callable[[], None] | None = None) -> Delivery:
        """Do as the script says. See `Channel.send`."""
        self.attempts.append(message)
        delivery = self._script(message)
        if delivery.result not in _BEFORE_CONTENT and on_data is not None:
            on_data()
        if delivery.result in (Result.SENT, Result.UNKNOWN):
            self.sent.append(message)
        return delivery


def _one_by_one(deliveries: Iterable[Delivery]) -> Callable[[object], Delivery]:
    rest = iter(deliveries)
    return lambda message: next(rest, Delivery(Result.SENT, "250 2.0.0 queued by the fake"))
