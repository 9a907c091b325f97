"""The channel for mail where no relay is set: mails are kept instead of being sent, and nothing leaves the machine."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from psycopg import OperationalError

from caravan.channels.email import refuse_unsafe
from caravan.channels.mail import Mail
from caravan.delivery.result import Result, SendResult
from caravan.store.sandbox import Kept

_MOST_AT_ONCE = 200  # mails that are kept by one transaction
_BEFORE_CONTENT = (Result.UNREACHABLE, Result.UNSUPPORTED)

Answers = Callable[[Mail], SendResult | None]


class MailStore(Protocol):
    """Where mails are kept."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def add(self, messages: Sequence[Kept], begun: Callable[[], None]) -> list[int]:
        """See `store/sandbox.py: SandboxStore.add`."""
        ...


@dataclass(slots=True)
class _Waiting:
    mail: Mail
    on_data: Callable[[], None] | None
    delivery: "asyncio.Future[SendResult]"


class MailSandbox:
    """Keeps mails in a store: those that come while others are being written go into the next transaction together.

    `answers` lets it say what a relay would have said to some mails, instead of keeping them.
    """

    def __init__(self, store: MailStore, answers: Answers | None = None) -> None:
        self._store, self._answers = store, answers
        self._waiting: list[_Waiting] = []
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

    async def send(self, mail: Mail, on_data: Callable[[], None] | None = None) -> SendResult:
        """Keep one mail. See `Channel.send`."""
        if (refusal := refuse_unsafe(mail)) is not None:
            return refusal
        if self._answers is not None and (answer := self._answers(mail)) is not None:
            if on_data is not None and answer.result not in _BEFORE_CONTENT:
                on_data()
            return answer
        waiting = _Waiting(mail, on_data, asyncio.get_running_loop().create_future())
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

    async def _keep(self, batch: list[_Waiting]) -> list[SendResult]:
        begun = False

        def begin() -> None:
            nonlocal begun
            begun = True
            for each in batch:
                if each.on_data is not None:
                    each.on_data()

        kept = [Kept(each.mail.sender, each.mail.recipient, each.mail.content) for each in batch]
        try:
            numbers = await self._store.add(kept, begin)
        except OperationalError as error:
            # One that breaks off may have been committed.
            result = Result.UNKNOWN if begun else Result.UNREACHABLE
            return [SendResult(result, f"The sandbox does not answer: {_line(error)}.")] * len(batch)
        except Exception as error:
            return [SendResult(Result.RETRY, f"The sandbox did not take it: {_line(error)}.")] * len(batch)
        return [SendResult(Result.SENT, f"250 2.0.0 kept in the sandbox as {number}") for number in numbers]


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
