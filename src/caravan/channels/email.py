"""The email channel: a pool of connections to one relay, each used for mail after mail."""

import asyncio
import re
from asyncio import TimerHandle
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from caravan.channels.mail import Mail
from caravan.channels.places import Places
from caravan.channels.relay import Refused, Relay
from caravan.channels.result import Delivery, Result
from caravan.channels.smtp import ConnectionLost, Conversation

# What would end the address, or the command, that it stands in.
_UNSAFE: Final = re.compile("[\x00-\x20\x7f<>\ud800-\udfff]")


class EmailChannel:
    """Hands mails to the relay of `url`. To be opened (`async with`) and used in one event loop.

    At most `connections` are open at once, each made when it is first needed, kept for `idle` seconds after
    its last mail and for `mails_each` mails at most. `timeout` is the seconds that the relay has for each
    reply.
    """

    def __init__(
        self, url: str, *, connections: int = 20, timeout: float = 60, idle: float = 10, mails_each: int = 500
    ) -> None:
        """Raises `InvalidSetting` when `url` is not as SMTP_URL must be."""
        self._relay = Relay.of(url)
        self._timeout = timeout
        self._idle = idle
        self._mails_each = mails_each
        self._places = Places(connections)
        self._free: dict[Conversation, TimerHandle] = {}  # the one used last stands last

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Say goodbye on all connections. Nothing may be under way."""
        leaving = list(self._free)
        for conversation in leaving:
            self._leave(conversation)
        if leaving:
            await asyncio.wait([conversation.closed for conversation in leaving], timeout=1)

    async def send(self, mail: Mail, on_data: Callable[[], None] | None = None) -> Delivery:
        """Offer `mail` once. See `Channel.send`."""
        if _UNSAFE.search(mail.sender) or _UNSAFE.search(mail.recipient):
            return Delivery(Result.FAILED, "The address can't stand in an SMTP command.")
        async with self._places:
            if (kept := self._kept()) is not None:
                with suppress(ConnectionLost):  # it lay idle and died without a sign: not the contact's fault
                    return await self._attempt(kept, mail, on_data)
            try:
                fresh = await self._relay.connect(self._timeout)
                return await self._attempt(fresh, mail, on_data)
            except Refused as refusal:
                return refusal.delivery
            except ConnectionLost as lost:
                return Delivery(Result.RETRY, f"Before the mail was sent, {lost}.")

    async def _attempt(self, conversation: Conversation, mail: Mail, on_data: Callable[[], None] | None) -> Delivery:
        """The outcome on this connection. Raises `ConnectionLost` if that is before the content goes out."""
        try:
            delivery = await conversation.send(mail, on_data)
        except BaseException:
            conversation.abort("it was given up")
            raise
        self._keep(conversation)
        return delivery

    def _kept(self) -> Conversation | None:
        """A connection from an earlier mail, the warmest first."""
        while self._free:
            conversation, timer = self._free.popitem()
            timer.cancel()
            if conversation.alive:
                return conversation
            conversation.abort("it was closed")
        return None

    def _keep(self, conversation: Conversation) -> None:
        if conversation.alive and conversation.mails < self._mails_each:
            loop = asyncio.get_running_loop()
            self._free[conversation] = loop.call_later(self._idle, self._leave, conversation)
        else:
            conversation.quit()

    def _leave(self, conversation: Conversation) -> None:
        self._free.pop(conversation).cancel()
        conversation.quit()
