"""How fast channels may send: what is set, what of it is used, and who stands for it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "paces.sql")


@dataclass(frozen=True, slots=True)
class Ramp:
    """A warm-up: on its first day so many deliveries, and each day so many times those of the day before."""

    begins: date
    first: int
    factor: float  # over 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What a channel may send; None where it has no such limit."""

    per_second: float | None = None
    per_day: int | None = None  # a day is one of UTC
    ramp: Ramp | None = None


class Kind(StrEnum):
    """Where a pace comes from."""

    SET = "set"  # a person or a program set it
    RULES = "rules"  # the operator's file of providers has it
    SLOW = "slow"  # replies asked for it, for a time


@dataclass(frozen=True, slots=True)
class Pace:
    """The limits of one channel, or of a part of it, for a customer or for all, and what of them is used."""

    id: int
    customer: int | None  # None: of all customers together
    channel: str
    limits: Limits
    next_free: datetime  # for the next delivery
    day: date | None  # on which
    sent: int  # so many were let through
    relay: str | None = None  # only what goes by this relay
    provider: str | None = None  # only what goes to this provider
    kind: Kind = Kind.SET
    connections: int | None = None  # that carry its mails at one time
    until: datetime | None = None  # it ends by itself
    reason: str | None = None

    @property
    def name(self) -> str:
        """What it is the pace of, in words."""
        what = self.provider or (self.channel if self.relay is None else f"relay {self.relay}")
        return what if self.relay is None or self.provider is None else f"{what} by relay {self.relay}"

    @property
    def is_of_route(self) -> bool:
        """Whether it binds a part of the channel only."""
        return self.relay is not None or self.provider is not None


async def lock(connection: Connection, customer: int, channel: str) -> tuple[list[Pace], datetime]:
    """The paces that bind a customer's channel, until the transaction ends, and the database's time."""
    found = [_pace(each) for each in await rows(connection, _Q.lock, customer=customer, channel=channel)]
    return found, await moment(connection)


async def moment(connection: Connection) -> datetime:
    """The time that all paces go by, in UTC."""
    found = await row(connection, _Q.moment)
    assert found is not None
    now: datetime = found["now"]
    return now.astimezone(UTC)


async def spend(connection: Connection, pace: Pace) -> None:
    """Note what is used of a pace now."""
    values = {"id": pace.id, "next_free": pace.next_free, "day": pace.day, "sent": pace.sent}
    await connection.execute(_Q.spend, values)


async def give_back(connection: Connection, customer: int, channel: str, count: int) -> None:
    """So many deliveries that were let through had nothing to send."""
    await connection.execute(_Q.give_back, {"customer": customer, "channel": channel, "count": count})


async def bound(connection: Connection) -> set[tuple[int | None, str]]:
    """Where there is a pace: (customer, channel); None for all customers."""
    return {(each["customer_id"], each["channel"]) for each in await rows(connection, _Q.bound)}


async def of_customer(connection: Connection, customer: int) -> list[Pace]:
    """The paces that bind a customer."""
    return [_pace(each) for each in await rows(connection, _Q.list, customer=customer)]


async def all_paces(connection: Connection) -> list[Pace]:
    """All paces of the installation."""
    return [_pace(each) for each in await rows(connection, _Q.list_all)]


async def change(
    connection: Connection, customer: int | None, channel: str, limits: Limits | None, now: datetime
) -> list[int]:
    """Set the limits of a channel, or take them away, and make due whoever stands for them: the cohorts' ids."""
    place = {"customer": customer, "channel": channel}
    if limits is None:
        await connection.execute(_Q.forget, place)
    else:
        values = {**place, **columns_of(limits), "now": now}
        if await row(connection, _Q.change, **values) is None:
            await connection.execute(_Q.add, values)
    return [int(each["id"]) for each in await rows(connection, _Q.wake, **place, now=now)]


async def stand(connection: Connection, cohort: int, claim: str, channel: str, until: datetime, reason: str) -> None:
    """Let a claimed cohort stand for a channel's pace until that time."""
    values = {"cohort": cohort, "claim": claim, "channel": channel, "until": until, "reason": reason}
    await connection.execute(_Q.stand, values)


async def say(connection: Connection, cohort: int, reason: str) -> None:
    """Note why a cohort that is being sent goes no faster."""
    await connection.execute(_Q.say, {"cohort": cohort, "reason": reason})


def columns_of(limits: Limits) -> dict[str, Any]:
    """The columns that hold limits."""
    ramp = limits.ramp
    return {
        "per_second": limits.per_second,
        "per_day": limits.per_day,
        "ramp_from": ramp and ramp.begins,
        "ramp_first": ramp and ramp.first,
        "ramp_factor": ramp and ramp.factor,
    }


def limits_of(found: DictRow) -> Limits:
    """Limits from these columns."""
    ramp = found["ramp_from"] and Ramp(found["ramp_from"], found["ramp_first"], found["ramp_factor"])
    return Limits(found["per_second"], found["per_day"], ramp)


def _pace(found: DictRow) -> Pace:
    names = ("next_free", "day", "sent")
    return Pace(found["id"], found["customer_id"], found["channel"], limits_of(found), *(found[name] for name in names))


async def backlog(connection: Connection, channel: str, customer: int | None = None) -> int:
    """How many contacts stand for a channel's pace, of a customer or of all (None)."""
    if customer is None:
        found = await row(connection, _Q.backlog, channel=channel)
    else:
        found = await row(connection, _Q.backlog_of_customer, channel=channel, customer=customer)
    assert found is not None
    return int(found["contacts"])
