"""What comes back by the links and images of messages: noted at once and beside the answer, judged some seconds later,
when all that came with it is known, and taken in as events then."""

import asyncio
import logging
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

import pyarrow.parquet as pq

from caravan.backoff import Backoff
from caravan.engine.engine import Engine
from caravan.events.event import Event, Origin
from caravan.events.take import take_each
from caravan.events.verdicts import LOOKED_BEFORE, SEEN_TOGETHER, Judgement, Verdict, judge
from caravan.store import cohorts, hits
from caravan.store.cohorts import FORGOTTEN, may_hold
from caravan.store.database import Connection
from caravan.store.hits import Hit

SETTLED: Final = timedelta(seconds=2)  # after which nothing more is waited for that came with a hit
_MOST: Final = 20_000  # that one process holds while the database is away; then the oldest are lost
_AT_ONCE: Final = 500
_AROUND: Final = 20_000  # hits of the same deliveries that a verdict looks at
_SAME: Final = 1.0  # seconds in which the same hit counts once
_log = logging.getLogger(__name__)


class HitWriter:
    """Writes the hits of one process beside its answers. What was noted is durable some milliseconds later; a process
    that dies at once loses it, and so do 20,000 that the database did not take."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting = deque[Hit]()
        self._recent = OrderedDict[tuple[object, ...], float]()
        self._task: asyncio.Task[None] | None = None

    def note(self, hit: Hit) -> None:
        """Write it down soon. Never waits, and never fails."""
        now, same = time.monotonic(), (*hit.delivery, hit.link, hit.method, hit.agent)
        if now - self._recent.pop(same, now - 2 * _SAME) < _SAME:
            return
        self._recent[same] = now
        while len(self._recent) > _MOST:
            self._recent.popitem(last=False)
        if len(self._waiting) >= _MOST:
            self._waiting.popleft()
            _log.warning("A hit on a link or image of a message is lost: the database has taken none for long")
        self._waiting.append(hit)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write(), name="write hits")

    async def written(self) -> None:
        """Wait until all that was noted is durable."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def _write(self) -> None:
        failures, backoff = 0, Backoff(0.2, 2, 10, jitter=0.5)
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
            try:
                async with self._engine.pool.connection() as connection, connection.transaction():
                    await hits.add(connection, some)
                    await self._engine.jobs.judge_hits(connection, self._engine.clock.now() + SETTLED)
                failures = 0
            except Exception as error:
                failures += 1
                self._waiting.extendleft(reversed(some))
                _log.warning("Hits on links of messages can't be noted just now: %s", " ".join(str(error).split()))
                await asyncio.sleep(backoff.delay(failures))


async def judge_hits(engine: Engine) -> None:
    """Judge the hits that came some seconds ago, and take them in as events; later ones have a job of their own."""
    until = engine.clock.now() - SETTLED
    while True:
        async with engine.pool.connection() as connection:
            found = await hits.to_judge(connection, until, _AT_ONCE)
            around = await _around(connection, found)
        if not found:
            break
        judged = [(each, judge(each, around.get(each.delivery, ()))) for each in found]
        contacts = await _contacts(engine, [hit for hit, _ in judged if hit.method != "HEAD"])
        async with engine.pool.connection() as connection, connection.transaction():
            await _settle(connection, judged, contacts)
    async with engine.pool.connection() as connection, connection.transaction():
        if await hits.any_waits(connection):
            await engine.jobs.judge_hits(connection, engine.clock.now() + SETTLED)


async def _around(connection: Connection, found: Sequence[Hit]) -> dict[tuple[str, str, int, int], list[Hit]]:
    """By delivery, what the verdicts on these look at."""
    around = dict[tuple[str, str, int, int], list[Hit]]()
    if found:
        times = [each.at for each in found]
        since, until = min(times) - LOOKED_BEFORE, max(times) + SEEN_TOGETHER
        for each in await hits.around(connection, found, since, until, _AROUND):
            around.setdefault(each.delivery, []).append(each)
    return around


async def _settle(
    connection: Connection, judged: Sequence[tuple[Hit, Judgement]], contacts: dict[tuple[str, str, int, int], str]
) -> None:
    fresh = await hits.settle(connection, {hit.id: (said.verdict, said.because) for hit, said in judged})
    came = [
        (hit, said, _event(hit, said, contacts[hit.delivery]))
        for hit, said in judged
        if hit.id in fresh and hit.method != "HEAD" and hit.delivery in contacts
    ]
    counts = Counter[tuple[str, str, str, str]]()
    for customer in sorted({hit.customer for hit, _, _ in came}):
        own = [each for each in came if each[0].customer == customer]
        new = await take_each(connection, customer, [event for _, _, event in own])
        counts.update(
            (hit.batch, hit.step, hit.event, said.verdict)
            for (hit, said, _), is_new in zip(own, new, strict=True)
            if is_new
        )
    if counts:
        await hits.count(connection, counts)


def _event(hit: Hit, said: Judgement, contact: str) -> Event:
    """The event of a hit; of a delivery, link and verdict, the first one counts."""
    properties: dict[str, object] = {"verdict": said.verdict.value, "because": said.because}
    if hit.url is not None:
        properties |= {"url": hit.url, "link": hit.link}
    if hit.agent and said.verdict is not Verdict.MACHINE:
        properties["agent"] = hit.agent
    return Event(
        contact=contact,
        name=hit.event,
        at=hit.at,
        properties=properties,
        source="email:open" if hit.link is None else "email:click",
        key="/".join(map(str, (*hit.delivery, hit.link or "", said.verdict))),
        origin=Origin(hit.batch, hit.step, hit.visit, hit.line),
    )


async def _contacts(engine: Engine, found: Iterable[Hit]) -> dict[tuple[str, str, int, int], str]:
    """The contacts' own ids, of those that are not deleted."""
    lines = dict[tuple[str, str, int], set[int]]()
    for each in found:
        lines.setdefault((each.batch, each.step, each.visit), set()).add(each.line)
    known = dict[tuple[str, str, int, int], str]()
    for (batch, step, visit), wanted in lines.items():
        async with engine.pool.connection() as connection:
            named = await cohorts.arrival_files(connection, batch, step, visit)
        files = [file for _, file in named if any(may_hold(file, line) for line in wanted)]
        for line, contact in (await asyncio.to_thread(ids_at, engine, files, sorted(wanted))).items():
            known[batch, step, visit, line] = contact
    return known


def ids_at(engine: Engine, files: Sequence[str], lines: Sequence[int]) -> dict[int, str]:
    """The ids of the contacts at these lines, without those who were forgotten. Blocks."""
    ids = dict[int, str]()
    for file in files:
        try:
            with engine.files.local(file) as path:
                wanted = [("line", "in", lines), ("id", "!=", FORGOTTEN)]
                found = pq.read_table(path, columns=["line", "id"], filters=wanted)
        except FileNotFoundError:  # forgotten meanwhile
            continue
        ids.update(zip(found["line"].to_pylist(), found["id"].to_pylist(), strict=True))
    return ids
