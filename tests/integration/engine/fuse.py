"""A process that can die between any two statements: connections and channels that a fuse runs through."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from caravan.channels.webhook import Call
from caravan.delivery.result import Result, SendResult


class Crash(BaseException):
    """The process dies here. No `except Exception` can help it."""


Meanwhile = Callable[[], Awaitable[None]]


class At(StrEnum):
    """Where a process can die."""

    STATEMENT = "statement"  # before or after one, or a commit
    SEND = "send"  # before, during or after one


@dataclass(frozen=True, slots=True)
class Death:
    """The process dies after so many such moments."""

    at: At
    after: int


class Fuse:
    """Burns down at each moment of its kind; when it is burnt the process is dead, in every part of it."""

    def __init__(self) -> None:
        self.burnt = False
        self._at: At | None = None
        self._left = 0

    def light(self, death: Death | None) -> None:
        """Begin anew; without a death it does not burn."""
        self.burnt = False
        self._at, self._left = (death.at, death.after) if death else (None, 0)

    def burn(self, at: At) -> None:
        """Something is about to happen, or has just happened. Raises `Crash` if the process does not live to it."""
        if at is self._at:
            self.burnt = self.burnt or self._left == 0
            self._left -= 1
        if self.burnt:
            raise Crash


def fused(fuse: Fuse) -> type[AsyncConnection[DictRow]]:
    """A class of connections that are cut when the fuse has burnt, before or after what they were to do."""

    class Fused(AsyncConnection[DictRow]):
        async def wait(self, gen: Any, *arguments: Any, **more: Any) -> Any:
            try:
                fuse.burn(At.STATEMENT)
                done = await super().wait(gen, *arguments, **more)
                fuse.burn(At.STATEMENT)
            except Crash:
                self.pgconn.finish()  # the server rolls back what was not committed
                raise
            return done

    return Fused


class FusedPool:
    """Enough of a pool. It has no tasks of its own, which would outlive a crash."""

    def __init__(self, url: str, fuse: Fuse) -> None:
        self._url, self._class = url, fused(fuse)
        self._idle: list[AsyncConnection[DictRow]] = []
        self._closed = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[DictRow]]:
        """A connection, with a commit at the end of the block, or a rollback if it fails."""
        if self._idle:
            connection = self._idle.pop()
        else:
            connection = await self._class.connect(self._url, row_factory=dict_row)
        try:
            yield connection
            await connection.commit()
        except BaseException:
            if not connection.closed:
                await connection.rollback()
            raise
        finally:
            if self._closed:  # of a part of the process that ended after the others
                await connection.close()
            elif not connection.closed:
                self._idle.append(connection)

    async def close(self) -> None:
        """Close what is open, also what is given back later."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()


class Post:
    """A channel that keeps what it was given, and answers as the world is in the mood to."""

    def __init__(self, fuse: Fuse, name_of: Callable[[Any], str]) -> None:
        self.got: Counter[str] = Counter()
        self.mood = Result.SENT
        self.meanwhile: tuple[int, Meanwhile] | None = None  # after so many sends, what somebody else does then
        self._fuse, self._name_of, self._calls = fuse, name_of, 0

    async def __aenter__(self) -> "Post":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def send(self, message: Any, on_data: Callable[[], None] | None = None) -> SendResult:
        """See `Channel.send`. In any mood but `sent`, every other message meets it."""
        self._fuse.burn(At.SEND)
        await self._let_others_act()
        self._calls += 1
        met = self.mood if self._calls % 2 else Result.SENT
        if met is Result.UNREACHABLE:
            return SendResult(met, "nobody is there")
        assert on_data is not None
        on_data()
        self._fuse.burn(At.SEND)
        if met in (Result.SENT, Result.UNKNOWN):
            self.got[self._name_of(message)] += 1
        self._fuse.burn(At.SEND)
        return SendResult(met, f"as the mood is: {met}")

    async def _let_others_act(self) -> None:
        if self.meanwhile is None:
            return
        left, act = self.meanwhile
        self.meanwhile = (left - 1, act) if left else None
        if not left:
            await act()


def key_of(message: Any) -> str:
    """The Message-ID of a message, or its URL and Idempotency-Key."""
    return f"{message.url} {message.key}" if isinstance(message, Call) else str(message.message_id)
