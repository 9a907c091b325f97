"""The email channel: a pool of connections to one relay, each used for mail after mail."""

import asyncio
import re
from asyncio import TimerHandle
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

from caravan.channels.mail import Mail
from caravan.channels.mx import Directory
from caravan.channels.providers import OTHER, Provider
from caravan.channels.relay import Refused, Relay
from caravan.channels.replies import Rules
from caravan.channels.smtp import Attempt, Conversation
from caravan.delivery.places import Lines, Places
from caravan.delivery.result import Result, SendResult
from caravan.delivery.signal import Heard

# Nothing that would end the address, or the command, that it stands in; more only in quotes (RFC 5321 §4.1.2).
_SAFE: Final = re.compile(
    '(?:"(?:[^"\\\\\x00-\x1f\x7f\ud800-\udfff]|\\\\[ -~])*"@)?[^\x00-\x20\x7f"<>\ud800-\udfff]*',
)


def refuse_unsafe(mail: Mail) -> SendResult | None:
    """The outcome of a mail whose addresses would end the command that they stand in."""
    if not (_SAFE.fullmatch(mail.sender) and _SAFE.fullmatch(mail.recipient)):
        return SendResult(Result.FAILED, "The address can't stand in an SMTP command.")
    return None


@dataclass(frozen=True, slots=True)
class Told:
    """What the channel of a relay knows beside how to reach it."""

    relay: str  # what it is called
    directory: Directory
    rules: Rules
    workers: int = 1  # processes that share what is allowed

    async def provider_of(self, address: str) -> Provider:
        """The provider of a recipient."""
        name = self.directory.known(address) or (await self.directory.of([address]))[0]
        return self.directory.providers.get(name)


class EmailChannel:
    """Hands mails to the relay of `url`. To be opened (`async with`) and used in one event loop.

    At most `connections` are open at once, each made when it is first needed, kept for `idle` seconds after its last
    mail and for `mails_each` mails at most. `timeout` is the seconds that the relay has for each reply.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 20,
        timeout: float = 60,
        idle: float = 10,
        mails_each: int = 500,
        told: Told | None = None,
        name: str = "CARAVAN_SMTP_URL",
    ) -> None:
        """Raises `InvalidSetting`, by that `name`, when `url` is not as SMTP_URL must be. `told` is what it knows of
        providers and replies; without it all are alike, and our rules hold."""
        self._relay = Relay.of(url, name)
        self._told = told
        self._caps: dict[str, Places] = {}
        self._heard: dict[str, Heard] = {}
        self._timeout = timeout
        self._idle = idle
        self._mails_each = mails_each
        self._free_places = connections  # how many more connections may be made
        self._waiting = Lines[Attempt]()  # empty while a connection rests or a place is free
        self._resting: dict[Conversation, TimerHandle] = {}  # the one used last stands last
        self._open: set[Conversation] = set()
        self._dialling: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Say goodbye on all connections. Nothing may be under way."""
        for task in self._dialling:
            task.cancel()
        leaving = list(self._resting)
        for conversation in leaving:
            self._leave(conversation)
        for conversation in list(self._open):  # with a mail that was given up before its content went out
            conversation.abort("the channel was closed")
        ends = [*self._dialling, *(conversation.closed for conversation in leaving)]
        if ends:
            await asyncio.wait(ends, timeout=1)

    async def send(self, mail: Mail, on_data: Callable[[], None] | None = None) -> SendResult:
        """Offer `mail` once. See `Channel.send`."""
        if (unsafe := refuse_unsafe(mail)) is not None:
            return unsafe
        if self._told is None:
            return await self._offer(mail, on_data, None)
        provider = await self._told.provider_of(mail.recipient)
        if provider.connections is None:
            result = await self._offer(mail, on_data, provider)
        else:
            async with self._cap(provider.name, provider.connections):
                result = await self._offer(mail, on_data, provider)
        return replace(result, heard=self._heard_by(result, self._told.relay, provider.name))

    def _cap(self, provider: str, connections: int) -> Places:
        """So many connections, of those of all workers of this command, carry mails of a provider."""
        if (cap := self._caps.get(provider)) is None:
            workers = 1 if self._told is None else self._told.workers
            cap = self._caps[provider] = Places(max(1, connections // workers))
        return cap

    def _heard_by(self, result: SendResult, relay: str, provider: str) -> Heard:
        if result.heard is not None:
            return replace(result.heard, relay=relay, provider=None if provider == OTHER else provider)
        if (heard := self._heard.get(provider)) is None:
            heard = self._heard[provider] = Heard(relay, None if provider == OTHER else provider)
        return heard

    async def _offer(self, mail: Mail, on_data: Callable[[], None] | None, provider: Provider | None) -> SendResult:
        attempt = Attempt(mail, on_data, asyncio.get_running_loop().create_future(), provider)
        self._start(attempt)
        try:
            return await attempt.outcome
        except asyncio.CancelledError:
            attempt.cancel()
            raise

    def _start(self, attempt: Attempt) -> None:
        """On the warmest connection, else on a new one, else when its turn comes."""
        while self._resting:
            conversation, timer = self._resting.popitem()
            timer.cancel()
            if conversation.alive:
                return conversation.serve(self, attempt, self._mails_each)
            conversation.abort("it was closed")
        if self._free_places:
            self._dial(attempt)
        else:
            self._waiting.append(attempt)

    def _dial(self, attempt: Attempt) -> None:
        self._free_places -= 1
        task = asyncio.create_task(self._carry(attempt))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _carry(self, attempt: Attempt) -> None:
        """Make a connection for `attempt`; it goes on with the mails that wait."""
        try:
            rules = None if self._told is None else self._told.rules
            conversation = await self._relay.connect(self._timeout, rules=rules)
        except Refused as refusal:
            attempt.settle(refusal.delivery)
            self._give_back_place()
        except asyncio.CancelledError:
            attempt.outcome.cancel()
            raise
        except Exception as error:
            attempt.fail(error)
            self._give_back_place()
        else:
            self._open.add(conversation)
            conversation.serve(self, attempt, self._mails_each)

    def _give_back_place(self) -> None:
        self._free_places += 1
        if (waiting := self.next()) is not None:
            self._dial(waiting)

    # What conversations ask and tell: see smtp.Pool

    def next(self) -> Attempt | None:
        """The mail that has waited longest."""
        while self._waiting:
            attempt = self._waiting.popleft()
            if not attempt.outcome.done():
                return attempt
        return None

    def rest(self, conversation: Conversation) -> None:
        """Keep a connection that has nothing to do for a while."""
        loop = asyncio.get_running_loop()
        self._resting[conversation] = loop.call_later(self._idle, self._leave, conversation)

    def lost(self, conversation: Conversation) -> None:
        """A connection has ended or will take no more mails: another may be made instead."""
        self._open.discard(conversation)
        if (timer := self._resting.pop(conversation, None)) is not None:
            timer.cancel()
        self._give_back_place()

    def retry(self, attempt: Attempt) -> None:
        """Try a mail once more, before all others and on a connection of its own."""
        self._waiting.appendleft(attempt)

    def _leave(self, conversation: Conversation) -> None:
        self.lost(conversation)
        conversation.quit()
