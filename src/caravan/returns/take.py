"""Taking in what has come back: an event of the contact, the message as it came, and suppressions, in one transaction.

Who reports counts for nothing here. What a return leads to is said by its delivery key alone, which is signed: one that
is forged, guessed or altered changes nothing, and neither does what came before.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from caravan.delivery.key import DeliveryKey
from caravan.engine.engine import Engine, Note
from caravan.events.event import Event, Origin
from caravan.events.take import take
from caravan.queries.recipient import Recipient, Recipients
from caravan.returns.returned import Kind, Returned
from caravan.store import returns, suppressions
from caravan.store.database import Connection
from caravan.store.returns import NewReturn
from caravan.store.suppressions import Reason, Suppression

EMAIL: Final = "email"  # the one channel that anything comes back of by these ways
SOFT_MOST: Final = 5  # soft bounces in a row …
SOFT_SPAN: Final = timedelta(days=7)  # … over at least so long stop an address
SOFT_STALE: Final = timedelta(days=60)  # after such a silence a row is over
_LARGEST: Final = 256 << 10  # octets of a message that are kept
_EARLIEST: Final = timedelta(days=30)  # what a reporter says of the time counts within this, else it is now


@dataclass(frozen=True, slots=True)
class Arrival:
    """What has come back, and how it came: the key of the address that it was sent to, if it was, and all of it."""

    returned: Returned
    key: str | None
    raw: bytes


@dataclass(frozen=True, slots=True)
class _Known:
    """A return whose delivery is known."""

    returned: Returned
    key: DeliveryKey
    recipient: Recipient
    contact: str
    raw: bytes
    at: datetime


async def take_in(engine: Engine, recipients: Recipients, arrivals: Sequence[Arrival], note: Note | None = None) -> int:
    """Take in all that leads to a delivery of a mail; how many were new. Durable when this returns; `note` is called
    first, in the same transaction."""
    known = await _known(engine, recipients, arrivals)
    if not known and note is None:
        return 0
    async with engine.pool.connection() as connection, connection.transaction():
        if note is not None:
            await note(connection)
        fresh, taken = await _store(engine, connection, known)
    for each in fresh:
        engine.metrics.returns.labels(_kind(each.returned), each.returned.source).inc()
    return taken


def _kind(returned: Returned) -> str:
    """What is counted: bounces that stay and those that may pass are two kinds."""
    if returned.kind is Kind.BOUNCED:
        return "hard_bounce" if returned.hard else "soft_bounce"
    return str(returned.kind)


async def _known(engine: Engine, recipients: Recipients, arrivals: Sequence[Arrival]) -> list[_Known]:
    keyed: list[tuple[Arrival, DeliveryKey]] = []
    for each in arrivals:
        text = each.key or each.returned.key
        key = None if text is None else await recipients.read(text)
        if key is not None:
            keyed.append((each, key))
    found = await recipients.find_all(key for _, key in keyed)
    now = engine.clock.now()
    known = []
    for each, key in keyed:
        recipient = found.get(key)
        if recipient is None or recipient.channel != EMAIL or recipient.contact is None:
            continue  # the key of a webhook is known to whom it called; of a forgotten batch nothing is left
        at = each.returned.at or now
        at = at if now - _EARLIEST <= at <= now else now
        known.append(_Known(each.returned, key, recipient, recipient.contact, each.raw, at))
    return known


async def _store(engine: Engine, connection: Connection, known: Sequence[_Known]) -> tuple[list[_Known], int]:
    """Store what is new of these: those of which each is kept, and how many events all new ones are."""
    now = engine.clock.now()
    delivered = [each for each in known if each.returned.kind is Kind.DELIVERED]  # most of all, and only events
    kept = [each for each in known if each.returned.kind is not Kind.DELIVERED]
    places = await returns.add(connection, [_row(each) for each in kept], now) if kept else []
    fresh = [kept[place] for place in places]
    by_customer: dict[int, list[_Known]] = defaultdict(list)
    for each in [*fresh, *delivered]:
        by_customer[each.recipient.customer].append(each)
    taken = 0
    for customer in sorted(by_customer):
        events = [_event(each) for each in by_customer[customer] if each.returned.kind is not Kind.UNREAD]
        taken += (await take(connection, customer, events)).taken if events else 0
        await _suppress(connection, customer, by_customer[customer], now)
    return fresh, taken


def _row(found: _Known) -> NewReturn:
    said = found.returned
    return NewReturn(
        customer=found.recipient.customer,
        batch=found.key.batch,
        step=found.recipient.step,
        visit=found.key.visit,
        line=found.key.line,
        contact=found.contact,
        address=found.recipient.address,
        kind=said.kind,
        hard=said.hard,
        code=said.code,
        reason=_text(said.reason),
        source=said.source,
        at=found.at,
        raw=(said.told or found.raw)[:_LARGEST],
    )


def _event(found: _Known) -> Event:
    said = found.returned
    properties: dict[str, object] = {"reason": _text(said.reason)} if said.reason else {}
    if said.kind is Kind.BOUNCED:
        properties |= {"hard": said.hard, "code": said.code}
    key = found.key
    return Event(
        contact=found.contact,
        name=said.kind,
        at=found.at,
        properties=properties,
        source=said.source,
        key=f"{key.batch}/{key.step}/{key.visit}/{key.line}/{said.kind}{'/hard' if said.hard else ''}",
        origin=Origin(key.batch, found.recipient.step, key.visit, key.line),
    )


async def _suppress(connection: Connection, customer: int, found: Sequence[_Known], now: datetime) -> None:
    """Suppress the addresses that are bad, or whose owners complained."""
    addressed = [(each, each.recipient.address) for each in found if each.recipient.address is not None]
    well = [address for each, address in addressed if each.returned.kind in (Kind.DELIVERED, Kind.REPLIED)]
    if well:
        await returns.forget_soft(connection, customer, well)
    stops = [
        _stop(each, address, now)
        for each, address in addressed
        if each.returned.hard or each.returned.kind is Kind.COMPLAINED
    ]
    soft = {
        address: each for each, address in addressed if each.returned.kind is Kind.BOUNCED and not each.returned.hard
    }
    if soft:
        stops += await _after_many(connection, customer, soft, now)
    if stops:
        await suppressions.add(connection, customer, stops)


def _stop(found: _Known, address: str, now: datetime) -> Suppression:
    said = found.returned
    reason = Reason.COMPLAINT if said.kind is Kind.COMPLAINED else Reason.HARD_BOUNCE
    who = "recipient" if reason is Reason.COMPLAINT else "mail server"
    detail = f"{_text(said.reason) or said.code} (batch {found.key.batch}, step {found.recipient.step})"
    return Suppression(EMAIL, address, None, reason, said.source, who, now, detail)


async def _after_many(
    connection: Connection, customer: int, soft: dict[str, _Known], now: datetime
) -> list[Suppression]:
    """Suppressions of those addresses that have bounced softly too often in a row."""
    counted = await returns.count_soft(connection, customer, sorted(soft), now, now - SOFT_STALE)
    stops = []
    for address, row in counted.items():
        if row.bounces >= SOFT_MOST and now - row.first_at >= SOFT_SPAN:
            detail = f"{row.bounces} soft bounces in a row since {row.first_at:%Y-%m-%d}"
            source = soft[address].returned.source
            stops.append(Suppression(EMAIL, address, None, Reason.HARD_BOUNCE, source, "mail server", now, detail))
    if stops:
        await returns.forget_soft(connection, customer, [each.address for each in stops])
    return stops


def _text(reason: str) -> str:
    """What PostgreSQL can keep."""
    return reason.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
