"""Batches started, paused, cancelled and moved in any order, by a process that dies between any two statements.

STATEFUL_EXAMPLES sets how many stories are told (default: some that take seconds, always the same ones).
"""

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from procrastinate.jobs import Status

from caravan.clock import TurnedClock
from caravan.delivery.envelope import Envelope
from caravan.delivery.gates import SEND, Decision, Later, Skip
from caravan.delivery.pacer import Pacer
from caravan.delivery.result import Result
from caravan.delivery.signing import read_back
from caravan.delivery.tools import DeliveryTools, Pacing
from caravan.engine import control, crossing, matching, moving, reading, singles, spans, start
from caravan.engine.advance import advance
from caravan.engine.engine import Engine, Journeys
from caravan.engine.publish import publish
from caravan.engine.worker import open_duckdb
from caravan.errors import Conflict
from caravan.events.event import Event
from caravan.events.take import take
from caravan.queries.journal import Filter, open_journal, read_journal
from caravan.queue.job_manager import queue_app
from caravan.queue.jobs import Jobs
from caravan.queue.recovery import Watch
from caravan.settings import Settings
from caravan.store.cohorts import Cohort
from caravan.store.customers import add_customer
from caravan.store.files import open_files
from caravan.store.ledger import Outcome
from caravan.store.queues import Queue
from tests.integration.engine.fuse import At, Crash, Death, Fuse, FusedPool, Post, key_of
from tests.integration.journeys_for_tests import contacts, enter_single

_JOURNEY = """
journey: 1
name: Any story
steps:
  - id: which
    split: [{if: "attributeName = 'yes'", to: mail}, {else: days}]
  - id: mail
    email: {from: shop@example.com, to: "{{ emailAddress }}", subject: "Hello", text: "Hello"}
    next: days
  - id: days
    wait_for:
      any: [{event: purchase, if: "total > 1", to: tell}, {event: unsubscribed, to: gone}]
      timeout: 3 days
      to: tell
  - id: tell
    webhook: {url: "https://example.com/hook"}
    next: insist
  - id: insist
    webhook: {url: "https://example.com/insist", on_unknown: resend}
    next: mark
  - id: gone
    exit: {}
  - id: mark
    set: {seen: "{{ seen | default: 0 | plus: 1 }}"}
    next: cross
  - id: cross
    journey: 2
"""
_OTHER = """
journey: 2
steps:
  - {id: stay, wait: 1 day, next: gone}
  - {id: gone, exit: {}}
"""
_LANES = [str(queue) for queue in Queue]
_STEPS = ("which", "mail", "days", "tell", "insist", "gone", "mark", "cross")
_SENDS = {"mail": (1,), "tell": (2, 3), "insist": (3, 4)}  # and how many steps may lie behind
_EXAMPLES = os.environ.get("STATEFUL_EXAMPLES")
_DEATHS = st.one_of(
    st.none(),
    st.builds(Death, st.just(At.STATEMENT), st.integers(0, 60)),
    st.builds(Death, st.just(At.SEND), st.integers(0, 15)),
)


class Moody:
    """A gate that lets every other delivery through, unless it is in a good mood; the process may die before or after
    it is asked."""

    def __init__(self, world: "World") -> None:
        self.world, self.mood, self.asked = world, "send", 0

    async def decide(self, cohort: Cohort, channel: str, envelopes: Sequence[Envelope[Any]]) -> list[Decision]:
        self.world.fuse.burn(At.SEND)
        decisions = [self._decide() for _ in envelopes]
        self.world.fuse.burn(At.SEND)
        return decisions

    def _decide(self) -> Decision:
        self.asked += 1
        match self.mood if self.asked % 2 else "send":
            case "skip":
                return Skip(Outcome.SUPPRESSED, "suppressed")
            case "later":
                return Later(self.world.clock.now() + timedelta(days=1 + self.asked % 3), "quiet hours")
        return SEND


class World:
    """All that outlives a process: the database, the files, the clock, and what contacts have received."""

    def __init__(self, url: str, folder: Path) -> None:
        self.settings = Settings(  # type: ignore[call-arg]
            data=folder, database_url=url, cohort_size=6, window_size=2, retry_delay=60, span_bytes=500
        )
        self.clock, self.fuse = TurnedClock(), Fuse()
        self.mails, self.calls = Post(self.fuse, key_of), Post(self.fuse, key_of)
        self.gate = Moody(self)
        self.customer = 0


class Process:
    """One life of the system: an engine whose connections break when its fuse has burnt."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pool: Any = FusedPool(world.settings.database_url or "", world.fuse)

    async def begin(self) -> None:
        world, given = self.world, self.world.settings
        self.app = queue_app()
        await self.app.connector.open_async(self.pool)
        files = open_files(None, given.folder)
        scratch, uploads, traces = (given.folder / name for name in ("scratch", "uploads", "traces"))
        jobs = Jobs(self.app, world.clock)
        self.engine = Engine(given, self.pool, files, world.clock, jobs, Journeys(), scratch, uploads)
        self.duck = open_duckdb(given)
        pacing = Pacing(given.window_size, given.retry_delay, given.retry_hours, lease=0.01, share_windows=1)
        self.tools = DeliveryTools(
            self.pool,
            files,
            scratch,
            world.clock,
            self.duck,
            traces=traces,
            channels={"email": world.mails, "webhook": world.calls},
            pacing=pacing,
            pacer=Pacer(self.pool, world.clock),
            gates=[world.gate],
        )
        self.worker = await self.app.job_manager.register_worker()
        watch = Watch(self.pool, silence=0, confirm=0)
        for _ in range(2):
            await watch.look()

    async def end(self) -> None:
        await self.pool.close()
        self.duck.close()

    async def work(self, jobs: int) -> int:
        """Do what a worker does with at most so many jobs; how many there were."""
        for done in range(jobs):
            job = await self.app.job_manager.fetch_job(_LANES, self.worker)
            if job is None:
                return done
            await self._do(job.task_name, job.task_kwargs)
            assert job.id is not None
            await self.app.job_manager.finish_job_by_id_async(job.id, Status.SUCCEEDED, True)
        return jobs

    async def _do(self, name: str, arguments: Any) -> None:
        match name:
            case "read":
                await reading.read(self.engine, arguments["batch"], self.tools.stopping)
            case "span":
                await spans.take(self.engine, arguments["batch"], arguments["number"], self.tools.stopping)
            case "join":
                await spans.join(self.engine, arguments["batch"], self.tools.stopping)
            case "gather":
                await singles.gather(self.engine, arguments["batch"])
            case "advance":
                await advance(self.engine, self.tools, arguments["cohort"])
            case "match":
                finders = matching.finders_of(self.engine)
                await matching.match(self.engine, self.tools, finders, arguments["customer"])
            case _:
                raise AssertionError(name)


class Stories(RuleBasedStateMachine):
    """Any order of what users and workers do."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = World(url, folder)
        self.process = Process(self.world)
        self.files: dict[str, int] = {}  # batches started by file: rows
        self.numbers = 0

    def run(self, work: Coroutine[Any, Any, Any], death: Death | None = None) -> Any:
        """Do some work. If the process dies in the middle of it, another one begins where it stopped."""
        self.world.fuse.light(death)
        try:
            return self.runner.run(work)
        except Crash:
            return None
        finally:
            burnt = self.world.fuse.burnt
            self.world.fuse.light(None)
            if burnt:
                self.runner.run(self._restart())

    async def _restart(self) -> None:
        await self.process.end()
        self.process = Process(self.world)
        await self.process.begin()

    @initialize()
    def open_shop(self) -> None:
        self.run(self._open_shop())

    async def _open_shop(self) -> None:
        await self.process.begin()
        async with self.process.pool.connection() as connection:
            self.world.customer = await add_customer(connection, f"shop {secrets.token_hex(4)}", self.world.clock.now())
        await publish(self.process.engine, self.world.customer, _OTHER)
        await publish(self.process.engine, self.world.customer, _JOURNEY)

    @rule(rows=st.integers(1, 14), death=_DEATHS)
    def a_file(self, rows: int, death: Death | None) -> None:
        self.start_file(rows, death)

    def start_file(self, rows: int, death: Death | None) -> None:
        batch = self.run(self._open())
        self.files[batch] = rows
        for each in (death, None):  # a client that gets no answer PUTs the same bytes again
            self.run(self._put(batch, rows), each)

    async def _open(self) -> str:
        async with self.process.pool.connection() as connection:
            return (await start.open_upload(self.process.engine, connection, self.world.customer, 1)).id

    async def _put(self, batch: str, rows: int) -> None:
        path = self.world.settings.folder / f"upload-{secrets.token_hex(4)}"
        path.write_bytes(contacts(rows))
        await start.receive(
            self.process.engine, batch, start.Received(path, path.stat().st_size, f"sum of {rows}", None)
        )

    @rule(death=_DEATHS)
    def commence(self, death: Death | None) -> None:
        self.numbers += 1
        self.run(self._commence(b'{"id": "s%d", "properties": {"attributeName": "yes"}}' % self.numbers), death)

    async def _commence(self, body: bytes) -> None:
        async with self.process.pool.connection() as connection:
            await enter_single(self.process.engine, connection, self.world.customer, body)

    @rule(change=st.sampled_from([control.pause, control.resume, control.cancel]), which=st.integers(0), death=_DEATHS)
    def change(self, change: Any, which: int, death: Death | None) -> None:
        batches = self.run(self._rows("select id from batches order by created_at, id"))
        if batches:
            self.run(self._change(change, batches[which % len(batches)]["id"]), death)

    @rule(
        rows=st.integers(8, 14),
        change=st.sampled_from([control.pause, control.cancel]),
        after=st.integers(0, 5),
        death=st.none() | _DEATHS,
        later=st.sampled_from([control.resume, control.cancel]),
    )
    def change_while_it_is_sent(self, rows: int, change: Any, after: int, death: Death | None, later: Any) -> None:
        self.start_file(rows, None)
        batch = list(self.files)[-1]
        act = partial(self._change, change, batch)
        self.world.mails.meanwhile = self.world.calls.meanwhile = (after, act)
        self.run(self.process.work(60), death)
        self.world.mails.meanwhile = self.world.calls.meanwhile = None
        self.run(self._change(later, batch))

    async def _change(self, change: Any, batch: str) -> None:
        async with self.process.pool.connection() as connection:
            with suppress(Conflict):
                await change(self.process.engine, connection, self.world.customer, batch)

    @rule(jobs=st.integers(1, 12), death=_DEATHS)
    def work(self, jobs: int, death: Death | None) -> None:
        self.run(self.process.work(jobs), death)

    @rule(
        who=st.lists(st.integers(1, 14), min_size=1, max_size=6),
        event=st.sampled_from(["purchase", "unsubscribed"]),
        total=st.integers(1, 2),
        jobs=st.integers(0, 6),
        death=_DEATHS,
    )
    def happen(self, who: list[int], event: str, total: int, jobs: int, death: Death | None) -> None:
        """Contacts do something; some of them twice, and some who do not stand."""
        names = [str(each) for each in who] + [f"s{each}" for each in who[:2]]
        self.run(self._happen(names, event, total))
        self.run(self.process.work(jobs), death)

    async def _happen(self, who: list[str], event: str, total: int) -> None:
        events = [Event(each, event, self.world.clock.now(), {"total": total}) for each in who]
        async with self.process.pool.connection() as connection:
            await take(connection, self.world.customer, events)
        # What is matched soon is matched now: the database's clock does not turn.
        await self._do("update procrastinate_jobs set scheduled_at = null where task_name = 'match'")

    @rule(days=st.integers(1, 4), reschedule=st.booleans(), death=_DEATHS)
    def move(self, days: int, reschedule: bool, death: Death | None) -> None:
        """Those who wait move into a version that has another time."""
        version = self.run(self._publish(_JOURNEY.replace("3 days", f"{days} days")))
        self.run(self._move(version, reschedule), death)

    async def _publish(self, source: str) -> int:
        return (await publish(self.process.engine, self.world.customer, source)).version

    async def _move(self, version: int, reschedule: bool) -> None:
        await moving.move_waiting(self.process.engine, self.world.customer, 1, version, reschedule=reschedule)

    @rule(mood=st.sampled_from([Result.SENT, Result.RETRY, Result.UNKNOWN, Result.FAILED, Result.UNREACHABLE]))
    def mood(self, mood: Result) -> None:
        self.world.mails.mood = self.world.calls.mood = mood

    @rule(mood=st.sampled_from(["send", "skip", "later"]))
    def gate(self, mood: str) -> None:
        self.world.gate.mood = mood

    @rule(days=st.integers(1, 4))
    def turn(self, days: int) -> None:
        self.run(self._turn(timedelta(days=days)))

    async def _turn(self, by: timedelta) -> None:
        self.world.clock.turn(by)
        await self._do("update procrastinate_jobs set scheduled_at = scheduled_at - %s where status = 'todo'", by)

    @invariant()
    def the_laws_hold(self) -> None:
        if self.world.customer:
            self.run(self._check())

    async def _check(self) -> None:
        for batch in await self._rows("select * from batches"):
            await self._check_ledger(batch)
            told, settled = await self._check_journal(batch)
            standing = await self._standing(batch["id"])
            if batch["finished_at"] is None:
                # Who is in a settled window has been reached, and stands until the whole cohort moves.
                assert not (told - settled) & standing, "in two places at once"
            if batch["entered"]:
                everyone = {line for line, _ in told} | {line for line, _ in standing}
                assert len(everyone) == batch["entered"], "somebody is missing"
                # Of lines that were numbered for those who cross some are nobody's, and who moved keeps its own.
                if batch["journey_id"] == 1 and batch["moved_from"] is None:
                    assert everyone == set(range(1, batch["entered"] + 1)), "somebody is missing"

    async def _check_ledger(self, batch: dict[str, Any]) -> None:
        rejected = await self._rows(
            "select coalesce(sum(contacts), 0) as n from rejected where batch_id = %s", batch["id"]
        )
        assert batch["lines"] == batch["entered"] + batch["blank"] + rejected[0]["n"]
        assert not await self._rows(
            "select * from ledger_steps s where batch_id = %s and (arrived <> standing + ("
            "  select coalesce(sum(contacts), 0) from ledger_outcomes o"
            "  where (o.batch_id, o.step) = (s.batch_id, s.step))"
            " or standing <> (select coalesce(sum(size), 0) from cohorts c"
            "  where (c.batch_id, c.step) = (s.batch_id, s.step) and c.closed_at is null))",
            batch["id"],
        ), "the ledger does not balance"

    async def _check_journal(self, batch: dict[str, Any]) -> tuple[set[tuple[int, str]], set[tuple[int, str]]]:
        """Who has met something at which step, each told of once, with the outcome that the other side knows of too;
        and for whom of them only a window's record says so yet."""
        journal = await open_journal(self.process.engine, batch["id"], Filter())
        lines = [line for some in read_journal(self.process.engine.files, journal) for line in some]
        told = Counter((line.line, line.step) for line in lines)
        assert set(told.values()) <= {1}, "told of twice"
        received = await self._received(batch["id"])
        for line in lines:
            if line.step in _SENDS:
                self._check_received(line, received)
        settled = {(line, step) for step, record in journal.windows for line in record["line"].to_pylist()}
        return set(told), settled

    async def _received(self, batch: str) -> Counter[tuple[str, int]]:
        """How many times each delivery of a batch has arrived, by step and line, as its key says."""
        found = Counter[tuple[str, int]]()
        async with self.process.pool.connection() as connection:
            for place in (self.world.mails, self.world.calls):
                for name, count in place.got.items():
                    key = await read_back(connection, name.strip("<>").rpartition(" ")[2].partition("@")[0])
                    assert key is not None, name
                    step = _STEPS[key.step]
                    assert key.visit in _SENDS[step], name
                    if key.batch == batch:
                        found[step, key.line] += count
        return found

    def _check_received(self, line: Any, got: Counter[tuple[str, int]]) -> None:
        received = got[line.step, line.line]
        if line.step == "insist":
            received = min(received, 1)  # all under one key, by which the other side knows them as one
        allowed = {"sent": {1}, "unknown": {0, 1}}.get(line.outcome, {0})
        assert received in allowed, (received, line)

    async def _standing(self, batch: str) -> set[tuple[int, str]]:
        """Who stands where: nobody twice."""
        found: list[tuple[int, str]] = []
        for cohort in await self._rows("select * from cohorts where batch_id = %s and closed_at is null", batch):
            with self.process.engine.files.local(cohort["file"]) as path:
                lines = pq.read_table(path, columns=["line"])["line"].to_pylist()
            gone = await self._rows("select place from departures where cohort_id = %s", cohort["id"])
            for place in sorted((each["place"] for each in gone), reverse=True):
                del lines[place]
            assert len(lines) == cohort["size"]
            found += [(line, cohort["step"]) for line in lines]
        assert len({line for line, _ in found}) == len(found), "in two places at once"
        return set(found)

    @invariant()
    def nobody_got_anything_twice(self) -> None:
        got = self.world.mails.got + self.world.calls.got
        assert not [key for key, count in got.items() if count > 1 and "/insist" not in key]

    def teardown(self) -> None:
        """In the end all goes well, and everybody comes to the end of the way."""
        if self.world.customer:
            self.mood(Result.SENT)
            self.gate("send")
            self.run(self._finish())
            self.the_laws_hold()
            self.nobody_got_anything_twice()
            self.run(self._check_ends())
        self.runner.run(self.process.end())
        self.runner.close()

    async def _finish(self) -> None:
        for batch in await self._rows("select id from batches where paused_at is not null"):
            await self._change(control.resume, batch["id"])
        for _ in range(12):
            while await self.process.work(50):
                pass
            await self._turn(timedelta(days=4, seconds=1))
        await crossing.end_unused(self.process.engine)

    async def _check_ends(self) -> None:
        for batch in await self._rows("select * from batches"):
            assert batch["state"] in ("completed", "cancelled"), batch
            assert batch["id"] not in self.files or batch["entered"] in (0, self.files[batch["id"]])
        assert not await self._rows("select * from cohorts where closed_at is null")
        assert await self._sum("select sum(entered) from batches where journey_id = 2") == await self._sum(
            "select sum(contacts) from ledger_outcomes where step = 'cross' and outcome = 'passed'"
        ), "whoever crossed has entered the other journey"
        assert await self._sum("select sum(entered) from batches where moved_from is not null") == await self._sum(
            "select sum(contacts) from ledger_outcomes where outcome = 'moved'"
        ), "whoever moved has entered the newer version"
        assert not await self._rows("select * from departures")
        assert not await self._rows("select * from unmatched_events")
        assert not await self._rows("select * from procrastinate_jobs where status = 'doing'")

    async def _sum(self, query: str) -> int:
        (found,) = await self._rows(query)
        return found["sum"] or 0

    async def _rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        async with self.process.pool.connection() as connection:
            found: list[dict[str, Any]] = await (await connection.execute(query, values)).fetchall()
        return found

    async def _do(self, query: str, *values: Any) -> None:
        async with self.process.pool.connection() as connection:
            await connection.execute(query, values)


def test_no_story_of_crashes_loses_anybody_or_sends_anything_twice(server: str, template: str, tmp_path: Path) -> None:
    told = settings(
        max_examples=int(_EXAMPLES or 5),
        stateful_step_count=20,
        deadline=None,
        derandomize=_EXAMPLES is None,
        database=None,
        phases=[Phase.generate, Phase.shrink] if _EXAMPLES else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(partial(_story, server, template, tmp_path), settings=told)  # type: ignore[arg-type]


def _story(server: str, template: str, tmp_path: Path) -> Stories:
    name = secrets.token_hex(6)
    with closing(psycopg.connect(server, autocommit=True)) as admin:
        admin.execute(f'create database "story_{name}" template "{template}"')
    folder = tmp_path / name
    folder.mkdir()
    return Stories(psycopg.conninfo.make_conninfo(server, dbname=f"story_{name}"), folder)
