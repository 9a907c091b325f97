"""A channel to one place, like a mail relay, of which it is told once when it goes away, and once when it is back."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from caravan.delivery.channel import Channel
from caravan.delivery.result import Result, SendResult

Message = TypeVar("Message")
_log = logging.getLogger(__name__)


class WatchedChannel(Generic[Message]):
    """Sends through another channel and logs when that can't be reached, and when it can again.

    `marker` is a file of this machine that is there while the place is away: of all processes that notice, the one that
    makes the file tells of it, and so does the one that removes it. `changed` hears of each change that this process
    sees: whether the place is away.
    """

    def __init__(
        self, channel: Channel[Message], what: str, marker: Path, changed: Callable[[bool], None] | None = None
    ) -> None:
        self._channel, self._what, self._marker, self._changed = channel, what, marker, changed
        self._away, self._since = False, 0.0

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.__aexit__(kind, error, trace)

    async def send(self, message: Message, on_data: Callable[[], None] | None = None) -> SendResult:
        """Attempt once. See `Channel.send`."""
        delivery = await self._channel.send(message, on_data)
        away = delivery.result is Result.UNREACHABLE
        if away != self._away:
            self._note(away, delivery.detail)
        return delivery

    def _note(self, away: bool, detail: str) -> None:
        self._away = away
        if self._changed is not None:
            self._changed(away)
        if away:
            self._since = time.monotonic()
            if self._mark():
                _log.warning("%s is away: %s Its contacts wait, and are tried again.", self._what, detail)
        elif self._unmark():
            _log.warning("%s is back after %.0f s", self._what, time.monotonic() - self._since)

    def _mark(self) -> bool:
        try:
            self._marker.touch(exist_ok=False)
        except OSError as error:
            return not isinstance(error, FileExistsError)  # better twice than never
        return True

    def _unmark(self) -> bool:
        try:
            self._marker.unlink()
        except OSError as error:
            return not isinstance(error, FileNotFoundError)
        return True
