"""The channel for text messages where no gateway is set: they are kept instead of being sent."""

from collections.abc import Callable

from caravan.channels.message_sandbox import MessageSandbox, MessageStore
from caravan.channels.sms.text import Text
from caravan.delivery.key import batch_of
from caravan.delivery.result import SendResult
from caravan.store.sandbox import Kept

Answers = Callable[[Text], SendResult | None]


class SmsSandbox(MessageSandbox[Text]):
    """Keeps text messages. `answers` says what a gateway would have said to some of them."""

    def __init__(self, store: MessageStore, answers: Answers | None = None) -> None:
        super().__init__(store, _kept, answers or (lambda text: None))


def _kept(text: Text) -> Kept:
    return Kept(text.sender or "", text.number, text.text.encode(), batch_of(text.key))
