"""The channel for mail where no relay is set: mails are kept instead of being sent."""

from collections.abc import Callable

from caravan.channels.email import refuse_unsafe
from caravan.channels.mail import Mail
from caravan.channels.message_sandbox import MessageSandbox, MessageStore
from caravan.delivery.key import batch_of
from caravan.delivery.result import SendResult
from caravan.store.sandbox import Kept

Answers = Callable[[Mail], SendResult | None]


class MailSandbox(MessageSandbox[Mail]):
    """Keeps mails. `answers` says what a relay would have said to some of them."""

    def __init__(self, store: MessageStore, answers: Answers | None = None) -> None:
        def answer(mail: Mail) -> SendResult | None:
            return refuse_unsafe(mail) or (None if answers is None else answers(mail))

        super().__init__(store, _kept, answer, "250 2.0.0 ")


def _kept(mail: Mail) -> Kept:
    """The mail with its batch, to which the delivery key in its Message-ID leads."""
    key = mail.message_id.removeprefix("<").partition("@")[0]
    return Kept(mail.sender, mail.recipient, mail.whole, batch_of(key))
