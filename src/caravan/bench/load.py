"""Calls at a steady pace, each made when it is due, however long the ones before it take."""

import asyncio
import itertools
import time
from dataclasses import dataclass

import aiohttp

from caravan.bench.system import JOURNEY, System
from caravan.errors import Unavailable

PACE = 50.0  # calls a second, half of each kind
LOOK, TRIGGER = "GET batches/{id}", "POST batchtrigger/v2"


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was answered."""

    name: str
    due: float  # seconds since the epoch
    seconds: float  # from when it was due until its answer was there


def load(system: System, batch: str, seconds: float | None = None) -> list[Call]:
    """Call for so long, or until this batch, which half of the calls look at, has been read.

    Raises `Unavailable` if a call is answered with an error or not at all.
    """
    try:
        return asyncio.run(_load(system, batch, seconds))
    except* (Unavailable, aiohttp.ClientError) as group:
        raise Unavailable(f"A call failed: {group.exceptions[0]}") from None


async def _load(system: System, batch: str, seconds: float | None) -> list[Call]:
    # As many connections as there are calls under way.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    headers = {"Authorization": f"Bearer {system.token}"}
    base = f"{system.url}/{system.customer}/"
    async with (
        aiohttp.ClientSession(base, headers=headers, connector=connector) as session,
        asyncio.TaskGroup() as group,
    ):
        caller, tasks, begin = _Caller(session, batch), [], time.time()
        for number in itertools.count():
            due = begin + number / PACE
            await asyncio.sleep(due - time.time())
            if caller.batch_was_read if seconds is None else due - begin >= seconds:
                break
            tasks.append(group.create_task(caller.trigger(due) if number % 2 else caller.look(due)))
    return [task.result() for task in tasks]


@dataclass(slots=True)
class _Caller:
    session: aiohttp.ClientSession
    batch: str
    batch_was_read: bool = False

    async def trigger(self, due: float) -> Call:
        async with self.session.post("batchtrigger/v2", json={"entityId": JOURNEY}) as answer:
            return await _answered(TRIGGER, due, answer)

    async def look(self, due: float) -> Call:
        async with self.session.get(f"batches/{self.batch}") as answer:
            call = await _answered(LOOK, due, answer)
            found = await answer.json()
        self.batch_was_read = bool(found["startedAt"] or found["finishedAt"])
        return call


async def _answered(name: str, due: float, answer: aiohttp.ClientResponse) -> Call:
    await answer.read()
    if answer.status != 200:
        raise Unavailable(f"{name} was answered with {answer.status}.")
    return Call(name, due, time.time() - due)
