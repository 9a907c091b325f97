"""Taking in what comes back of text messages: what became of them, and what recipients answer.

A report leads to its delivery by the delivery key, which is signed. An answer names two phone numbers and nothing else:
the last message to the one from the other says whose it is (store/sms_threads.py).
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from caravan.channels.sms.keywords import Keyword, keyword_of
from caravan.channels.sms.numbers import bare_number
from caravan.channels.sms.returned import Fate, Reply, Report
from caravan.delivery.key import DeliveryKey
from caravan.engine.engine import Engine
from caravan.events.event import LONGEST_KEY, Event, Origin
from caravan.events.take import take
from caravan.queries.recipient import Recipient, Recipients
from caravan.store import sms_threads, suppressions
from caravan.store.database import Connection, single
from caravan.store.sms_threads import Thread
from caravan.store.suppressions import Reason, Suppression

SMS: Final = "sms"
_LONGEST_TEXT: Final = 2_000  # characters that are kept of an answer
_SHOWN: Final = 100
_REASONS: Final = {Fate.DEAD: Reason.HARD_BOUNCE, Fate.STOPPED: Reason.STOP}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Keyed:
    """A report, the text of the delivery key that it came with, and the gateway's name."""

    report: Report
    key: str
    gateway: str


@dataclass(frozen=True, slots=True)
class _Whose:
    """Whom an answer is from: a contact of a customer, and the message that it answers, if that is still known."""

    customer: int
    contact: str | None
    origin: Origin | None


async def take_reports(engine: Engine, recipients: Recipients, found: Sequence[Keyed]) -> None:
    """Take in what became of messages, as events of their contacts. What leads to no delivery of a text message is
    ignored. Durable when this returns."""
    keyed = [(each, key) for each in found if (key := await recipients.read(each.key)) is not None]
    known = await recipients.find_all(key for _, key in keyed)
    events: dict[int, list[Event]] = defaultdict(list)
    stops: dict[int, list[Suppression]] = defaultdict(list)
    now = engine.clock.now()
    for each, key in keyed:
        recipient = known.get(key)
        if recipient is None or recipient.channel != SMS or recipient.contact is None:
            continue
        events[recipient.customer].append(_reported(each, key, recipient, now))
        reason = _REASONS.get(each.report.fate)
        if reason is not None and recipient.address is not None:
            detail = f"{each.report.detail} (batch {key.batch}, step {recipient.step})"
            stops[recipient.customer].append(_stop(recipient.address, reason, each.gateway, detail, now))
    if not events:
        return
    async with engine.pool.connection() as connection, connection.transaction():
        for customer in sorted(events):
            await take(connection, customer, events[customer])
            if stops[customer]:
                await suppressions.add(connection, customer, stops[customer])


def _reported(found: Keyed, key: DeliveryKey, recipient: Recipient, now: datetime) -> Event:
    report = found.report
    assert recipient.contact is not None
    properties: dict[str, object] = {"reason": _storable(report.detail)}
    if report.fate is not Fate.DELIVERED:
        properties["hard"] = report.fate is Fate.DEAD
    return Event(
        contact=recipient.contact,
        name="delivered" if report.fate is Fate.DELIVERED else "bounced",
        at=now,
        properties=properties,
        source=f"{SMS}:{found.gateway}",
        key=f"{key.batch}/{key.step}/{key.visit}/{key.line}/{report.fate}",
        origin=Origin(key.batch, recipient.step, key.visit, key.line),
    )


async def take_reply(engine: Engine, recipients: Recipients, gateway: str, reply: Reply, customer: int | None) -> None:
    """Take in an answer, of this customer's recipients if one is given. STOP suppresses the number, START undoes that.
    Durable when this returns."""
    number = bare_number(reply.number)
    if number is None:
        _log.info("An answer of no phone number came by %s, and is ignored.", gateway)
        return
    keyword = keyword_of(reply.text)
    whose = await _whose(engine, recipients, number, reply, customer)
    if not whose:
        _log.warning("An answer came by %s from a number to which no customer has written.", gateway)
        return
    if keyword is not Keyword.STOP and keyword is not Keyword.START:
        whose = whose[:1]  # what somebody writes is for whom it was written to, and for nobody else
    async with engine.pool.connection() as connection, connection.transaction():
        for each in whose:
            await _take_reply(engine, connection, each, gateway, number, reply, keyword)


async def _whose(
    engine: Engine, recipients: Recipients, number: str, reply: Reply, customer: int | None
) -> list[_Whose]:
    """Whom an answer may be meant for, one for each customer, the one that wrote last first."""
    to = bare_number(reply.to) or reply.to.strip()
    async with single(engine.pool) as connection:
        threads = await sms_threads.of_number(connection, number)
        only = customer if customer is not None else await sms_threads.only_customer(connection)
    threads = [each for each in threads if customer in (None, each.customer)]
    meant = [each for each in threads if each.sender in (to, "")] or (threads if customer is not None else [])
    newest: dict[int, Thread] = {}
    for each in meant:
        newest.setdefault(each.customer, each)
    if not newest:
        return [] if only is None else [_Whose(only, threads[0].contact if threads else None, None)]
    keys = {each.key: key for each in newest.values() if (key := await recipients.read(each.key)) is not None}
    known = await recipients.find_all(keys.values())
    return [_from_thread(each, keys.get(each.key), known) for each in newest.values()]


def _from_thread(thread: Thread, key: DeliveryKey | None, known: dict[DeliveryKey, Recipient]) -> _Whose:
    recipient = None if key is None else known.get(key)
    if key is None or recipient is None:
        return _Whose(thread.customer, thread.contact, None)
    return _Whose(thread.customer, thread.contact, Origin(key.batch, recipient.step, key.visit, key.line))


async def _take_reply(
    engine: Engine,
    connection: Connection,
    whose: _Whose,
    gateway: str,
    number: str,
    reply: Reply,
    keyword: Keyword | None,
) -> None:
    now, source = engine.clock.now(), f"{SMS}:{gateway}"
    text = _storable(reply.text)[:_LONGEST_TEXT]
    if whose.contact is not None:
        event = Event(
            contact=whose.contact,
            name="unsubscribed" if keyword is Keyword.STOP else "replied",
            at=now,
            properties={"text": text, "from": number} | ({} if keyword is None else {"keyword": keyword}),
            source=source,
            key=_storable(reply.id)[:LONGEST_KEY] or None,
            origin=whose.origin,
        )
        if (await take(connection, whose.customer, [event])).taken == 0:
            return  # the gateway says it again, and something else may have been said since
    if keyword is Keyword.STOP:
        found = _stop(number, Reason.STOP, gateway, f"answered {text[:_SHOWN]!r}", now)
        await suppressions.add(connection, whose.customer, [found])
    elif keyword is Keyword.START:
        await suppressions.lift(
            connection, whose.customer, SMS, number, reason=Reason.STOP, who="recipient", source=source, now=now
        )


def _stop(number: str, reason: Reason, gateway: str, detail: str, now: datetime) -> Suppression:
    who = "recipient" if reason is Reason.STOP else "gateway"
    return Suppression(SMS, number, None, reason, f"{SMS}:{gateway}", who, now, _storable(detail))


def _storable(text: str) -> str:
    """What PostgreSQL can keep."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
