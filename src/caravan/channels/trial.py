"""One mail to the relay that is set, to see how it goes: each line of the conversation is told."""

import asyncio
import secrets
from datetime import datetime

from caravan.channels.content import BodyWriter
from caravan.channels.email import refuse_unsafe
from caravan.channels.mail import Letterhead, Mail, compose
from caravan.channels.relay import Refused, Relay
from caravan.channels.smtp import Attempt, Conversation
from caravan.channels.told import Tell
from caravan.delivery.result import SendResult

_TEXT = "This is a test of the mail relay by `caravan channels test`. You need not answer it.\n"


def trial_mail(to: str, sender: str, now: datetime) -> Mail:
    """The mail that is sent. Raises `RenderFailed` for what is no mail address."""
    return compose(
        Letterhead.of(sender),
        BodyWriter(),
        to=to,
        subject="A test of the mail relay",
        text=_TEXT,
        html=None,
        key=secrets.token_hex(16),
        date=now,
    )


async def send_told(relay: Relay, mail: Mail, tell: Tell, timeout: float) -> SendResult:  # noqa: ASYNC109 - of each step
    """Send one mail on a connection of its own; what came of it, after the goodbye."""
    if (unsafe := refuse_unsafe(mail)) is not None:
        return unsafe
    try:
        conversation = await relay.connect(timeout, tell)
    except Refused as refusal:
        return refusal.delivery
    attempt = Attempt(mail, None, asyncio.get_running_loop().create_future())
    conversation.serve(_OnlyOne(), attempt, 1)
    result = await attempt.outcome
    if not conversation.alive:
        await asyncio.wait([conversation.closed], timeout=timeout)
    return result


class _OnlyOne:
    """The pool of a conversation that carries one mail."""

    def next(self) -> Attempt | None:
        """There is none beside it."""
        return None

    def rest(self, conversation: Conversation) -> None:
        """Its mail is done."""
        conversation.quit()

    def lost(self, conversation: Conversation) -> None:
        """Nothing is to be made instead."""

    def retry(self, attempt: Attempt) -> None:
        """It had carried no other mail, so this is never asked."""
        raise AssertionError
