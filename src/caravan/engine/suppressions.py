"""Suppressions are added and lifted; which addresses a channel can have is told by the channel itself."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from caravan.channels.mailbox import parse_mailbox
from caravan.channels.sms.numbers import same_number
from caravan.delivery.suppression import comparable
from caravan.engine.engine import Engine
from caravan.errors import InvalidInput, RenderFailed
from caravan.journeys.fields import check_topic
from caravan.store import suppressions as store
from caravan.store.database import Connection
from caravan.store.suppressions import Reason, Suppression, Way

LONGEST_ADDRESS: Final = 1_000  # characters
_LONGEST_DETAIL: Final = 500
_HIDDEN = re.compile(r"hash:[0-9a-f]{64}", re.ASCII)  # as lists have it of recipients who were forgotten


@dataclass(frozen=True, slots=True)
class By:
    """Who adds or lifts suppressions, and by which way."""

    who: str  # a user's address, a token, a user of the machine, or "recipient"
    way: Way


def entry(
    channels: Sequence[str],
    by: By,
    now: datetime,
    *,
    address: object,
    channel: object = "email",
    topic: object = None,
    reason: object = Reason.MANUAL,
    at: object = None,
    detail: object = None,
) -> Suppression:
    """A suppression of what somebody gave, each value a text or None. Raises `InvalidInput` that names the good
    values."""
    channel = channel or "email"
    if channel not in channels:
        raise InvalidInput(f"There is no channel {channel!r}; there are {', '.join(channels)}.")
    reason = reason or Reason.MANUAL
    if reason not in list(Reason):
        raise InvalidInput(f"There is no reason {reason!r}; there are {', '.join(Reason)}.")
    found = Reason(str(reason))
    about = None if found is Reason.HARD_BOUNCE else _topic(topic)
    told = None if detail in (None, "") else str(detail)[:_LONGEST_DETAIL]
    when = min(_moment(at, now), now)
    return Suppression(str(channel), address_of(str(channel), address), about, found, by.way, by.who, when, told)


def address_of(channel: str, text: object) -> str:
    """An address of a channel as it is compared. Raises `InvalidInput` for what is none."""
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput("An address is missing.")
    if len(text) > LONGEST_ADDRESS or "\0" in text:
        raise InvalidInput(f"An address has at most {LONGEST_ADDRESS:,} characters, and no NUL.")
    if _HIDDEN.fullmatch(text):
        return text
    try:
        if channel == "email":
            text = parse_mailbox(text.strip(), "address").address
        elif channel == "sms":
            text = same_number(text)
    except RenderFailed as error:
        raise InvalidInput(error.message) from None
    return comparable(channel, text)


def _topic(topic: object) -> str | None:
    if topic in (None, ""):
        return None
    try:
        return check_topic(str(topic))
    except ValueError as error:
        raise InvalidInput(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None


def _moment(at: object, now: datetime) -> datetime:
    if at in (None, ""):
        return now
    try:
        found = datetime.fromisoformat(str(at))
    except ValueError:
        raise InvalidInput(f"{str(at)[:40]!r} is no moment; write one like 2026-11-01T12:00:00Z.") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=now.tzinfo)


def channel_names(engine: Engine) -> list[str]:
    """The channels that suppressions can be about."""
    return [each.name for each in engine.channels]


async def unsubscribe(
    engine: Engine, customer: int, channel: str, address: str, topic: str | None, way: Way, detail: str
) -> None:
    """The recipient wants nothing more of this topic, or at all; durable when this returns."""
    found = Suppression(channel, address, topic, Reason.UNSUBSCRIBED, way, "recipient", engine.clock.now(), detail)
    async with engine.pool.connection() as connection, connection.transaction():
        await store.add(connection, customer, [found])


async def subscribe_again(
    engine: Engine, customer: int, channel: str, address: str, topic: str | None, *, everything: bool
) -> None:
    """The recipient takes it back: its own unsubscribing, of this topic and, if it is to be, of everything. What others
    suppressed for other reasons stays."""
    lifted: list[str] = [topic or ""] + ([""] if everything and topic is not None else [])
    async with engine.pool.connection() as connection, connection.transaction():
        for each in lifted:
            await store.lift(
                connection,
                customer,
                channel,
                address,
                topic=each,
                reason=Reason.UNSUBSCRIBED,
                who="recipient",
                source=Way.PAGE,
                now=engine.clock.now(),
            )


async def unsubscribed_from(connection: Connection, customer: int, channel: str, address: str) -> set[str | None]:
    """The topics that the recipient unsubscribed from; None among them: from everything."""
    found = await store.suppressed(connection, customer, channel, [address])
    return {each.topic for each in found.get(address, ()) if each.reason is Reason.UNSUBSCRIBED}
