"""Suppression: whoever must not be written to gets nothing, as of the moment in which it would go out."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import idna

from caravan.clock import Clock
from caravan.delivery.decisions import SEND, Decision, Skip
from caravan.delivery.envelope import Envelope
from caravan.store.cohorts import Cohort
from caravan.store.database import Pool, single
from caravan.store.ledger import Outcome
from caravan.store.suppressions import Reason, Stop, suppressed

_WORDS: Final = {
    Reason.UNSUBSCRIBED: "unsubscribed",
    Reason.HARD_BOUNCE: "the address bounced",
    Reason.COMPLAINT: "called a message spam",
    Reason.STOP: "answered STOP",
    Reason.MANUAL: "suppressed by hand",
    Reason.IMPORT: "suppressed by an imported list",
}
#: Which one is told where several stop a message.
_ORDER: Final = (
    Reason.HARD_BOUNCE,
    Reason.COMPLAINT,
    Reason.UNSUBSCRIBED,
    Reason.STOP,
    Reason.MANUAL,
    Reason.IMPORT,
)


class SuppressionGate:
    """Skips what goes to an address that is suppressed. One query a window."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool

    async def decide(self, cohort: Cohort, channel: str, envelopes: Sequence[Envelope[Any]]) -> list[Decision]:
        """See `Gate.decide`."""
        addresses = [comparable(channel, each.recipient) for each in envelopes]
        async with single(self._pool) as connection:
            found = await suppressed(connection, cohort.customer, channel, list(dict.fromkeys(addresses)))
        if not found:
            return [SEND] * len(envelopes)
        return [decision(each, found.get(address, ())) for each, address in zip(envelopes, addresses, strict=True)]


def decision(envelope: Envelope[Any], stops: Sequence[Stop]) -> Decision:
    """What these suppressions of its recipient mean for a delivery."""
    against = [stop for stop in stops if _stops(stop, envelope.topic, transactional=envelope.transactional)]
    if not against:
        return SEND
    stop = min(against, key=lambda each: (_ORDER.index(each.reason), each.at))
    about = f" from {stop.topic}" if stop.topic is not None else ""
    return Skip(Outcome.SUPPRESSED, f"{_WORDS[stop.reason]}{about} on {stop.at:%Y-%m-%d} ({stop.source})")


def _stops(stop: Stop, topic: str | None, *, transactional: bool) -> bool:
    if stop.reason is Reason.HARD_BOUNCE:
        return True
    return not transactional and (stop.topic is None or stop.topic == topic)


def comparable(channel: str, recipient: str) -> str:
    """A recipient as it is compared with others of its channel.

    Of a mail address the domain is in lower case and in ASCII (IDNA). So is the local part in lower case: RFC 5321
    §2.4 would have it kept, but no mail system of any size tells two mailboxes apart by case, and who has unsubscribed
    as Anna@ must not get mail as anna@. Dots and what follows a plus sign stay: there, systems differ.
    """
    if channel != "email":
        return recipient.strip()
    local, _, domain = recipient.strip().rpartition("@")
    return f"{local.lower()}@{ascii_domain(domain.lower().rstrip('.'))}"


def ascii_domain(domain: str) -> str:
    """A domain in lower case as the DNS has it (IDNA), where it can be written so."""
    if not domain.isascii():
        with suppress(idna.IDNAError):
            return idna.encode(domain, uts46=True).decode("ascii")
    return domain
