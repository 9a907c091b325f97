"""One SMTP connection, from the end of its handshake: mails go over it one after the other (RFC 5321).

aiosmtplib shakes hands, encrypts and logs in (relay.py). Its own protocol drops a reply that comes before it is
awaited, so it can't pipeline; this one can (RFC 2920). Where the relay offers PIPELINING, the envelope of the next mail
goes out in one write with the content of the one before, so that a mail costs one round trip and one wake-up. A content
never goes out before its own recipient is accepted: whatever happens to the connection, only a mail whose content has
gone out and whose reply has not come can be in doubt.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from caravan.channels.mail import Mail
from caravan.channels.providers import Provider
from caravan.channels.replies import Reply, Rules, Stage, shipped
from caravan.channels.smtp_commands import Extensions, chunk, mail_command, rcpt_command, stuffed
from caravan.channels.smtp_replies import ReplyReader, accepts
from caravan.delivery.result import Result, SendResult

_CLOSED: Final = "the relay closed the connection"


@dataclass(slots=True, eq=False)
class Attempt:
    """A mail on its way through the channel, until its outcome is known."""

    mail: Mail
    on_data: Callable[[], None] | None
    outcome: asyncio.Future[SendResult]
    provider: Provider | None = None  # that it goes to
    carrier: "Conversation | None" = None  # while its content is out and the reply has not come

    def settle(self, delivery: SendResult) -> None:
        """This is the outcome, if there is still interest in it."""
        self.carrier = None
        if not self.outcome.done():
            self.outcome.set_result(delivery)

    def fail(self, error: Exception) -> None:
        """It can't go on for a reason that is no outcome."""
        if not self.outcome.done():
            self.outcome.set_exception(error)

    def cancel(self) -> None:
        """The sender is no longer interested: nothing more may go out."""
        if self.carrier is not None:
            self.carrier.abort("it was given up")


class Pool(Protocol):
    """Where a conversation gets its mails, and what is told when it has none."""

    def next(self) -> Attempt | None:
        """The mail that has waited longest."""
        ...

    def rest(self, conversation: "Conversation") -> None:
        """It has nothing to do."""
        ...

    def lost(self, conversation: "Conversation") -> None:
        """It can't be used any more."""
        ...

    def retry(self, attempt: Attempt) -> None:
        """A connection that had carried other mails was lost before this one's content went out."""
        ...


@dataclass(slots=True, eq=False)
class _Turn:
    """One mail's transaction on this connection."""

    attempt: Attempt
    is_first: bool  # of the connection
    refusal: tuple[Stage, Reply] | None = None
    content_out: bool = False


class Conversation(asyncio.Protocol):
    """A connection that is ready for mails. Its replies drive it: each is awaited in its place, none by a task."""

    def __init__(
        self,
        transport: asyncio.Transport,
        extensions: Extensions,
        timeout: float,
        rules: Rules | None = None,
        *,
        secure: bool = False,
    ) -> None:
        """Take over `transport`. `timeout` is the seconds that the relay has for each reply, `rules` say what these
        mean. `secure`: nobody between here and the relay can read it."""
        self._transport = transport
        self._offers = extensions
        self._timeout = timeout
        self._reader = ReplyReader()
        self._expected: deque[tuple[Stage | None, _Turn | None]] = deque()  # no stage: RSET, or a reply to ignore
        self._unheard = deque[Reply]()
        self._halted = False  # until the loop comes round
        self._open_transaction = False
        self._lost = False
        self._loop = asyncio.get_running_loop()
        self._deadline = 0.0
        self._watchdog: asyncio.TimerHandle | None = None
        self._pool: Pool
        self._most = 0
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.mails = 0
        self._rules, self._secure = rules or shipped(), secure
        self._of_provider = Counter[str]()
        transport.set_protocol(self)

    def serve(self, pool: Pool, attempt: Attempt | None, most: int) -> None:
        """Carry `attempt` and then what `pool` has, until that has no more or `most` mails were carried."""
        self._pool, self._most = pool, most
        self._go_on(attempt)

    @property
    def alive(self) -> bool:
        """Whether another mail may be tried on it."""
        return not self._lost and not self._transport.is_closing()

    # What the transport tells

    def data_received(self, data: bytes) -> None:
        replies = self._reader.feed(data)
        if self._reader.is_endless:
            return self.abort("its reply has no end")
        if replies:
            self._deadline = self._loop.time() + self._timeout
        self._unheard.extend(replies)
        if not self._halted:
            self._hear_on()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(_CLOSED)
        if not self.closed.done():
            self.closed.set_result(None)

    # Replies

    def _hear_on(self) -> None:
        """Hear what came, but nothing behind the reply to a content before its sender has noted that one: else a kill
        would leave two mails of this connection in doubt, the one that is answered and the one that goes out next."""
        self._halted = False
        while self._unheard and not self._lost:
            is_content = bool(self._expected) and self._expected[0][0] is Stage.CONTENT
            self._hear(self._unheard.popleft())
            if is_content and self._unheard:
                self._halted = True
                self._loop.call_soon(self._hear_on)  # the loop wakes the sender first
                return

    def _hear(self, reply: Reply) -> None:
        if not self._expected:
            self.abort("it spoke unasked")  # goodbye, most of the time
            return
        stage, turn = self._expected.popleft()
        if turn is not None and stage is Stage.CONTENT:
            turn.attempt.settle(self._meaning(turn.attempt, stage, reply))
        elif turn is not None and stage is not None and turn.refusal is None and not accepts(stage, reply):
            turn.refusal = (stage, reply)
        if reply.code in (0, 421):
            # Goodbye (RFC 5321 §3.8), or nothing that SMTP knows: what comes next can't be trusted.
            if turn is not None and stage is not Stage.CONTENT:
                self._expected.appendleft((stage, turn))
            self.abort(_CLOSED)
        elif turn is not None and stage is not Stage.CONTENT:
            self._proceed(stage, turn, reply)
        if not self._expected and not self._lost:
            self._go_on(None)

    def _proceed(self, stage: Stage | None, turn: _Turn, reply: Reply) -> None:
        """The next thing in a transaction whose content has not gone out."""
        last = Stage.RCPT if self._offers.chunking else Stage.DATA
        if turn.refusal is not None and reply.code == 354 and stage is last:
            # It waits for content all the same (RFC 2920 §3.1): an empty one for no recipient ends that.
            self._write(b".\r\n")
            self._expected.append((None, turn))
        elif turn.refusal is not None and (stage in (None, last) or not self._offers.pipelining):
            turn.attempt.settle(self._meaning(turn.attempt, *turn.refusal))
        elif stage is last:
            self._hand_over(turn)
        elif not self._offers.pipelining:
            self._ask(_NEXT[stage], turn)

    def _go_on(self, attempt: Attempt | None) -> None:
        """Nothing is under way: begin with the next mail, rest, or leave."""
        if self.mails >= self._most:
            self._pool.lost(self)
            self.quit()
            return
        turn = self._next_turn(attempt)
        if turn is None:
            self._pool.rest(self)
        elif self._offers.pipelining:
            self._write(self._envelope(turn))
        else:
            self._ask(None if self._open_transaction else Stage.MAIL, turn)

    def _next_turn(self, attempt: Attempt | None) -> _Turn | None:
        while attempt := attempt or self._pool.next():
            if not attempt.outcome.done():
                if (unfit := self._unfit(attempt)) is None:
                    self._count(attempt.provider)
                    return _Turn(attempt, self.mails == 1)
                attempt.settle(unfit)
            attempt = None
        return None

    def _unfit(self, attempt: Attempt) -> SendResult | None:
        """The outcome of a mail that this connection can't carry."""
        mail, provider = attempt.mail, attempt.provider
        if not (self._offers.smtputf8 or (mail.sender.isascii() and mail.recipient.isascii())):
            return SendResult(Result.UNSUPPORTED, "The relay doesn't take addresses beyond ASCII (SMTPUTF8).")
        if provider is not None and provider.tls and not self._secure:
            why = (
                f"Mails to {provider.name} go over encrypted connections only, and that to the relay is not encrypted."
            )
            return SendResult(Result.RETRY, why)
        return None

    def _count(self, provider: Provider | None) -> None:
        """One more mail; after enough of them to the same provider it is this connection's last."""
        self.mails += 1
        if provider is not None and provider.mails is not None:
            self._of_provider[provider.name] += 1
            if self._of_provider[provider.name] >= provider.mails:
                self._most = min(self._most, self.mails)

    def _meaning(self, attempt: Attempt, stage: Stage, reply: Reply) -> SendResult:
        return self._rules.classify(stage, reply, None if attempt.provider is None else attempt.provider.name)

    # Commands

    def _envelope(self, turn: _Turn) -> bytes:
        """All commands of a mail up to its content, to go out at once."""
        reset, self._open_transaction = self._open_transaction, True
        if reset:
            self._expected.append((None, None))
        self._expected.append((Stage.MAIL, turn))
        self._expected.append((Stage.RCPT, turn))
        commands = (b"RSET\r\n" if reset else b"") + self._mail_command(turn.attempt)
        commands += rcpt_command(turn.attempt.mail)
        if self._offers.chunking:
            return commands
        self._expected.append((Stage.DATA, turn))
        return commands + b"DATA\r\n"

    def _ask(self, stage: Stage | None, turn: _Turn) -> None:
        """One command whose reply is waited for."""
        self._expected.append((stage, turn))
        match stage:
            case None:
                self._write(b"RSET\r\n")
            case Stage.MAIL:
                self._open_transaction = True
                self._write(self._mail_command(turn.attempt))
            case Stage.RCPT:
                self._write(rcpt_command(turn.attempt.mail))
            case _:
                self._write(b"DATA\r\n")

    def _hand_over(self, turn: _Turn) -> None:
        """The content, and behind it the next mail's envelope."""
        attempt = turn.attempt
        try:
            if attempt.on_data is not None and not attempt.outcome.done():
                attempt.on_data()
        except Exception as error:
            attempt.fail(error)
        if attempt.outcome.done():
            if not self._offers.chunking:
                self.abort("the content was held back")  # the relay waits for it, and would take an empty one
            return
        turn.content_out = True
        attempt.carrier = self
        self._expected.append((Stage.CONTENT, turn))
        content = attempt.mail.whole
        octets = chunk(content) if self._offers.chunking else stuffed(content)
        # The end of DATA ends the transaction, whatever the reply; a chunk that is refused need not (RFC 3030 §2).
        self._open_transaction = self._offers.chunking
        if self._offers.pipelining and self.mails < self._most and (following := self._next_turn(None)) is not None:
            octets += self._envelope(following)
        self._write(octets)

    def _mail_command(self, attempt: Attempt) -> bytes:
        return mail_command(attempt.mail, self._offers, tls=attempt.provider is not None and attempt.provider.tls)

    def _write(self, octets: bytes) -> None:
        self._deadline = self._loop.time() + self._timeout
        if self._watchdog is None:
            self._watchdog = self._loop.call_later(self._timeout, self._watch)
        if self._transport.is_closing():  # it ended unnoticed, between the handshake and here
            self._loop.call_soon(self.abort, _CLOSED)
        else:
            self._transport.write(octets)

    def _watch(self) -> None:
        """Runs once in a while, not for each reply: a timer is a tenth of what a mail costs."""
        self._watchdog = None
        if not self._expected or self._lost:
            return
        if self._loop.time() >= self._deadline:
            self.abort(f"no reply came for {self._timeout:g} seconds")
        else:
            self._watchdog = self._loop.call_at(self._deadline, self._watch)

    # The end

    def quit(self) -> None:
        """Say goodbye and close; a relay that doesn't answer is left after a second."""
        if not self._lost:
            self._lost = True
            self._stop_watch()
            self._transport.write(b"QUIT\r\n")
            self._transport.close()
            self._loop.call_later(1, self._transport.abort)

    def abort(self, why: str) -> None:
        """Close at once. What was under way has an outcome then: in doubt only where its content was out."""
        self._transport.abort()
        self._fail(why)

    def _fail(self, why: str) -> None:
        if self._lost:
            return
        self._lost = True
        self._stop_watch()
        turns = dict.fromkeys(turn for _, turn in self._expected if turn is not None)
        self._expected.clear()
        for turn in turns:
            self._fail_turn(turn, why)
        self._pool.lost(self)

    def _fail_turn(self, turn: _Turn, why: str) -> None:
        attempt = turn.attempt
        if turn.content_out:
            attempt.settle(SendResult(Result.UNKNOWN, f"The whole mail was sent, then {why}."))
        elif turn.refusal is not None and (turn.is_first or turn.refusal[1].code != 421):
            attempt.settle(self._meaning(attempt, *turn.refusal))
        elif turn.is_first:
            attempt.settle(SendResult(Result.RETRY, f"Before the mail was sent, {why}."))
        elif not attempt.outcome.done():
            # After enough mails or time a relay leaves, or says 421 to the connection: not the mail's fault.
            self._pool.retry(attempt)

    def _stop_watch(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None


_NEXT: Final = {None: Stage.MAIL, Stage.MAIL: Stage.RCPT, Stage.RCPT: Stage.DATA}
