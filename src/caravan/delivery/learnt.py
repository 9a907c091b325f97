"""What the replies of one window say beyond its messages: of relays and of providers."""

from collections import Counter, defaultdict
from dataclasses import replace
from typing import Generic

from caravan.delivery.breaker import Tally
from caravan.delivery.cohort_delivery import CohortDelivery
from caravan.delivery.envelope import Message
from caravan.delivery.result import Result, SendResult
from caravan.delivery.signal import Act, Heard, Signal


class Learnt(Generic[Message]):
    """Gathers it, and tells it once, at the end of the window."""

    def __init__(self, delivery: CohortDelivery[Message]) -> None:
        self._delivery = delivery
        self._reached, self._unreachable = Counter[str](), Counter[str]()
        self._reason = ""
        self._signals: dict[str, Counter[Signal]] = defaultdict(Counter)
        self._said: dict[Signal, str] = {}  # the newest reply of each

    def note(self, sent: SendResult, heard: Heard) -> None:
        """One message was answered, or could not be offered."""
        if sent.result is Result.UNREACHABLE:  # the relay's trouble, whoever the mail is for
            self._unreachable[""] += 1
            self._reason = sent.detail
        else:
            for name in {"", heard.provider or ""}:
                self._reached[name] += 1
        if heard.signal is not None and (heard.provider or heard.signal.whole_relay):
            place = "" if heard.signal.whole_relay else heard.provider or ""
            self._signals[place][heard.signal] += 1
            self._said[heard.signal] = sent.detail

    async def tell(self) -> None:
        """Let all senders know what concerns them."""
        delivery = self._delivery
        if delivery.relay is not None:
            names = sorted({"", *self._signals} | ({delivery.route.provider} if delivery.route.provider else set()))
            tallies = {name: self._tally(name) for name in names}
            await delivery.tools.pacer.learn(delivery.cohort, delivery.route, tallies)

    def _tally(self, name: str) -> Tally:
        signals = [(replace(each, reason=self._said[each]), count) for each, count in self._signals[name].items()]
        stops = [each for each in signals if each[0].act is Act.STOP]
        slows = [each for each in signals if each[0].act is Act.SLOW]
        return Tally(self._reached[name], self._unreachable[name], self._reason, stops, slows)
