"""Endpoints that are gone for good: once one has said so (410), its step calls it no more in this batch."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from caravan.clock import Clock
from caravan.delivery.cohort_delivery import CohortDelivery
from caravan.delivery.decisions import SEND, Decision, Skip
from caravan.delivery.envelope import Envelope, Message
from caravan.store import gone_endpoints
from caravan.store.cohorts import Cohort
from caravan.store.database import AWAY, Pool
from caravan.store.ledger import Outcome

_CHANNELS = frozenset({"webhook"})  # whose recipients can be gone


class EndpointGone(Exception):
    """The endpoint has said, while this delivery waited for its place, that it is gone."""


class Gone:
    """What a window learns of endpoints that are gone."""

    def __init__(self, delivery: CohortDelivery[Message]) -> None:
        self._delivery = delivery
        self._known = dict[str, str]()

    async def note(self, recipient: str, detail: str) -> None:
        """It is gone. Where the database is away, the next window finds out again."""
        if recipient in self._known:
            return
        self._known[recipient] = detail
        cohort, tools = self._delivery.cohort, self._delivery.tools
        with suppress(*AWAY):
            async with tools.pool.connection() as connection:
                now = tools.clock.now()
                await gone_endpoints.add(connection, cohort.batch, cohort.step, recipient, detail, now)

    def check(self, recipient: str) -> None:
        """The last look before a message goes out. Raises `EndpointGone`."""
        if recipient in self._known:
            raise EndpointGone(_reason(self._known[recipient]))


class GoneGate:
    """Nothing goes to an endpoint that is gone: the contact has failed, and goes on."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool

    async def decide(self, cohort: Cohort, channel: str, envelopes: Sequence[Envelope[Any]]) -> Sequence[Decision]:
        """See `Gate.decide`."""
        if channel not in _CHANNELS:
            return [SEND] * len(envelopes)
        async with self._pool.connection() as connection:
            urls = {each.recipient for each in envelopes}
            gone = await gone_endpoints.among(connection, cohort.batch, cohort.step, urls)
        if not gone:
            return [SEND] * len(envelopes)
        return [_decision(gone.get(each.recipient)) for each in envelopes]


def _decision(reason: str | None) -> Decision:
    return SEND if reason is None else Skip(Outcome.FAILED, _reason(reason))


def _reason(answer: str) -> str:
    return f"not called: the endpoint is gone, as it answered another contact: {answer}"
