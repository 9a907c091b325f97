"""The audit log: who did what to what, and when. It is only added to, and retention leaves it alone."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from caravan.store import audit as store
from caravan.store.database import Connection


class ActorKind(StrEnum):
    """What acted."""

    USER = "user"  # a person, through the console
    TOKEN = "token"  # a program, through the API
    COMMAND = "command"  # a person at the machine, through the command line


@dataclass(frozen=True, slots=True)
class Actor:
    """A user by its e-mail address, a token by its id, or a command by the machine's user."""

    kind: ActorKind
    name: str
    customer: int | None  # that the act concerns; None: the installation


@dataclass(frozen=True, slots=True)
class Entry:
    """One act in the log."""

    id: int
    at: datetime
    actor: Actor
    act: str
    subject: str
    detail: dict[str, Any] | None


async def record(
    connection: Connection,
    actor: Actor,
    act: str,
    subject: str,
    detail: dict[str, Any] | None = None,
    *,
    at: datetime | None = None,
) -> None:
    """Enter an act, like "pause" of the subject "batch 7"; in the transaction of the act itself, so that there is
    neither without the other. `at`: by the database's clock, unless it is given."""
    await store.add_entry(
        connection,
        customer=actor.customer,
        kind=ActorKind(actor.kind),
        name=actor.name,
        act=act,
        subject=subject,
        detail=detail,
        at=at,
    )


async def entries(
    connection: Connection, customer: int | None, *, before: int | None = None, limit: int = 100
) -> list[Entry]:
    """The newest acts first, from before the entry `before` on: those on a customer, or all."""
    found = await store.entries(connection, customer, before, limit)
    return [
        Entry(
            each["id"],
            each["at"],
            Actor(ActorKind(each["actor_kind"]), each["actor_name"], each["customer"]),
            each["act"],
            each["subject"],
            each["detail"],
        )
        for each in found
    ]
