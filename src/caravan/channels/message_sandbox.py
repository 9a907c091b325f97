"""What channels have in common that keep messages instead of sending them: nothing leaves the machine."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from psycopg import OperationalError

from caravan.delivery.result import Result, SendResult
from caravan.store.sandbox import Kept

_MOST_AT_ONCE = 200  # messages that are kept by one transaction
_BEFORE_CONTENT = (Result.UNREACHABLE, Result.UNSUPPORTED)

Message = TypeVar("Message")


class MessageStore(Protocol):
    """Where messages are kept."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def add(self, messages: Sequence[Kept], begun: Callable[[], None]) -> list[int]:
        """See `store/sandbox.py: SandboxStore.add`."""
        ...


@dataclass(slots=True)
class _Waiting(Generic[Message]):
    message: Message
    on_data: Callable[[], None] | None
    delivery: "asyncio.Future[SendResult]"


class MessageSandbox(Generic[Message]):
    """Keeps messages in a store: those that come while others are being written go into the next transaction together.

    `kept` makes of a message what is stored. `answers` is asked first: it lets the sandbox say what the other side
    would have said to some messages, instead of keeping them. `code` is what begins the answer to all others.
    """

    def __init__(
        self,
        store: MessageStore,
        kept: Callable[[Message], Kept],
        answers: Callable[[Message], SendResult | None],
        code: str = "",
    ) -> None:
        self._store, self._kept, self._answers, self._code = store, kept, answers, code
        self._waiting: list[_Waiting[Message]] = []
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            await self._writer
        await self._store.__aexit__(kind, error, trace)

    async def send(self, message: Message, on_data: Callable[[], None] | None = None) -> SendResult:
        """Keep one message. See `Channel.send`."""
        if (answer := self._answers(message)) is not None:
            if on_data is not None and answer.result not in _BEFORE_CONTENT:
                on_data()
            return answer
        waiting = _Waiting(message, on_data, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await waiting.delivery

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
            batch = [each for each in batch if not each.delivery.done()]  # else its sender was cancelled
            for each, delivery in zip(batch, await self._keep(batch), strict=True):
                if not each.delivery.done():
                    each.delivery.set_result(delivery)

    async def _keep(self, batch: list[_Waiting[Message]]) -> list[SendResult]:
        begun = False

        def begin() -> None:
            nonlocal begun
            begun = True
            for each in batch:
                if each.on_data is not None:
                    each.on_data()

        kept = [self._kept(each.message) for each in batch]
        try:
            numbers = await self._store.add(kept, begin)
        except OperationalError as error:
            # One that breaks off may have been committed.
            result = Result.UNKNOWN if begun else Result.UNREACHABLE
            return [SendResult(result, f"The sandbox does not answer: {_line(error)}.")] * len(batch)
        except Exception as error:
            return [SendResult(Result.RETRY, f"The sandbox did not take it: {_line(error)}.")] * len(batch)
        return [SendResult(Result.SENT, f"{self._code}kept in the sandbox as {number}") for number in numbers]


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
