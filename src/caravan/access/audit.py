"""The audit log: who did what to what, when and from where. It is only added to, and retention leaves it alone."""

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from caravan.store import audit as store
from caravan.store.database import Connection, Pool, single

_AT_ONCE = 1_000  # entries that are read at once, and so in memory
_OFFERED = 200  # actors and acts that a filter offers


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
    address: str | None = None  # that the call came from
    label: str | None = None  # of a token: its name

    def on(self, customer: int | None) -> "Actor":
        """The same one, acting on this customer."""
        return replace(self, customer=customer)


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
        label=actor.label,
        address=actor.address,
        act=act,
        subject=subject,
        detail=detail,
        at=at,
    )


async def count_recent(connection: Connection, actor: Actor, act: str, since: datetime) -> int:
    """How often the actor did an act since a moment; until the transaction ends, no other counts the same."""
    return await store.count_recent(
        connection, customer=actor.customer, kind=ActorKind(actor.kind), name=actor.name, act=act, since=since
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are wanted: of an actor, of an act, from a moment to before another. None: whichever."""

    who: str | None = None  # an actor's name
    what: str | None = None  # an act
    since: datetime | None = None
    until: datetime | None = None


_ALL = Filter()


async def entries(
    connection: Connection,
    customer: int | None,
    *,
    before: int | None = None,
    limit: int = 100,
    wanted: Filter = _ALL,
) -> list[Entry]:
    """The newest acts first, from before the entry `before` on: those on a customer, or all."""
    found = await store.entries(connection, customer, before, limit, **asdict(wanted))
    return [_entry(each) for each in found]


async def all_entries(pool: Pool, customer: int | None, wanted: Filter = _ALL) -> AsyncIterator[list[Entry]]:
    """All of them, the newest first, some at a time; no transaction lasts while they are used."""
    before = None
    while True:
        async with single(pool) as connection:
            found = await entries(connection, customer, before=before, limit=_AT_ONCE, wanted=wanted)
        if found:
            before = found[-1].id
            yield found
        if len(found) < _AT_ONCE:
            return


async def actors(connection: Connection, customer: int) -> list[tuple[str, str | None]]:
    """Who acted on a customer, by name, with what it is called: the first ones."""
    return [(each["name"], each["label"]) for each in await store.actors(connection, customer, _OFFERED)]


async def acts(connection: Connection, customer: int) -> list[str]:
    """What was done on a customer: each act once."""
    return await store.acts(connection, customer, _OFFERED)


async def starter_of(connection: Connection, customer: int, batch: str, address: str) -> Actor | None:
    """The actor that began a batch, as that of a later act that came from `address`; None if it is not known."""
    found = await store.first_of_subject(connection, customer, f"batch {batch}")
    if found is None:
        return None
    return Actor(ActorKind(found["actor_kind"]), found["actor_name"], customer, address, found["actor_label"])


def _entry(row: dict[str, Any]) -> Entry:
    actor = Actor(ActorKind(row["actor_kind"]), row["actor_name"], row["customer"], row["address"], row["actor_label"])
    return Entry(row["id"], row["at"], actor, row["act"], row["subject"], row["detail"])
