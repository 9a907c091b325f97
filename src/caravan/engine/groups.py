"""Group commit: calls that arrive while a transaction is under way share the next one.

A transaction costs its round trips and a synchronous write of the log, whether for one call or for hundreds. So the
more calls arrive, the less each costs; a call that arrives alone waits for nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

Call = TypeVar("Call")
Answer = TypeVar("Answer")
_LARGEST = 500  # calls in one transaction
_log = logging.getLogger(__name__)


class Groups(Generic[Call, Answer]):
    """Does calls in groups, one group at a time.

    `work` does a group as a whole and returns an answer or an error for each call, in their order; where it raises,
    nothing of the group is done. `is_transient` tells errors that would meet each call alone as well.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Call]], Awaitable[Sequence[Answer | Exception]]],
        is_transient: Callable[[Exception], bool],
        largest: int = _LARGEST,
    ) -> None:
        self._work, self._is_transient, self._largest = work, is_transient, largest
        self._waiting: list[tuple[Call, asyncio.Future[Answer]]] = []
        self._running: asyncio.Task[None] | None = None

    async def ask(self, call: Call) -> Answer:
        """Have a call done with the next group; its own answer, or its own error."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, answer))
        if self._running is None:
            # In no call's context: lines of its log belong to all of its calls.
            self._running = asyncio.create_task(self._run(), context=Context())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
                answers = await self._do([call for call, _ in group])
                for (_, future), answer in zip(group, answers, strict=True):
                    _tell(future, answer)
        finally:
            self._running = None

    async def _do(self, calls: Sequence[Call]) -> Sequence[Answer | Exception]:
        try:
            return await self._work(calls)
        except Exception as error:
            if len(calls) == 1 or self._is_transient(error):
                return [error] * len(calls)
            _log.info("A group of %d calls failed and is done one by one: %s", len(calls), error)
            return [answer for call in calls for answer in await self._do([call])]


def _tell(future: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if future.done():  # its caller has gone
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
