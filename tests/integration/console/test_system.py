"""The page of the installation: who sees it, and that it tells what is so."""

import asyncio
import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest

from caravan.access.users import Role, first_user
from caravan.store.metrics import report
from caravan.store.queues import Queue
from tests.integration.conftest import System
from tests.integration.console.test_console import PASSWORD, browser, sign_in, signed_in, streamed, waiting_batch

PATH = "/console/system"


@pytest.fixture
async def operator(idle_system: System) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of the operator."""
    async with idle_system.engine.pool.connection() as connection:
        made = await first_user(connection, "owner@localhost")
    assert made is not None
    async with browser(idle_system.engine) as http:
        await sign_in(http, *made)
        await http.post("/console/password", data={"old": made[1], "new": PASSWORD, "again": PASSWORD})
        yield http


def words(text: str) -> str:
    """What a reader sees."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def part(page: httpx.Response, id: str) -> str:
    """The words of one part of the page."""
    found = re.search(rf'<(\w+) id="{id}".*?</\1>', page.text, re.DOTALL)
    assert found, id
    return words(found[0])


async def stick(system: System, reason: str) -> str:
    """A batch whose contacts are stuck for this reason."""
    batch = await waiting_batch(system)
    async with system.engine.pool.connection() as connection:
        await connection.execute(
            "update cohorts set stuck_at = now(), reason = %s where batch_id = %s and closed_at is null",
            (reason, batch),
        )
    return batch


@pytest.mark.parametrize("role", list(Role))
async def test_others_than_the_operator_are_told_that_there_is_no_such_page(idle_system: System, role: Role) -> None:
    async with browser(idle_system.engine) as http:
        await signed_in(http, idle_system, role)
        missing = await http.get("/console/no-such-page")
        for path in (PATH, f"{PATH}/live"):
            answer = await http.get(path)
            assert (answer.status_code, words(answer.text)) == (404, words(missing.text)), path
        assert PATH not in (await http.get(f"/console/{idle_system.customer}/batches")).text


async def test_without_a_session_it_leads_to_sign_in(idle_system: System) -> None:
    async with browser(idle_system.engine) as http:
        assert (await http.get(PATH)).status_code == 303
        assert (await http.get(f"{PATH}/live")).status_code == 401


async def test_the_operator_sees_each_thing_with_its_meaning(system: System, operator: httpx.AsyncClient) -> None:
    await waiting_batch(system)
    page = await operator.get(PATH)
    found = part(page, "findings")
    assert f"Workers well {len(Queue)} heard in the last 15 seconds" in found
    assert page.status_code == 200
    assert "Ready well yes PostgreSQL and the store of files answer" in found
    assert "Stuck contacts well none" in found
    assert re.search(r"Connections well [\d,]+ of [\d,]+, [\d,]+ of Caravan", found)
    assert re.search(r"Data folder (well|look at it|act) [\d.]+ GiB free of", found)
    assert "Mail well to a relay" in found
    assert re.search(r"Schema well \d+ ", found)
    queues = part(page, "queues")
    for queue in Queue:
        assert f" {queue} " in queues
    assert "1" in queues[queues.index("advance Moves contacts") :]
    assert all(
        name in part(page, "versions") for name in ("Caravan", "Python", "PostgreSQL", "DuckDB", "Procrastinate")
    )
    menu = (await operator.get(f"/console/{system.customer}/batches")).text
    assert f'<a href="{PATH}">System</a>' in menu


async def test_without_a_worker_it_says_what_to_do(idle_system: System, operator: httpx.AsyncClient) -> None:
    page = await operator.get(PATH)
    assert "Workers act none; one was last heard never" in part(page, "findings")
    assert "Something needs you" in part(page, "verdict")
    await idle_system.publish("journey: 1\nname: One\nsteps:\n  - id: out\n    exit: {}\n")
    await idle_system.start(b'{"id": "a"}\n')
    async with idle_system.engine.pool.connection() as connection:
        await connection.execute("update procrastinate_events set at = at - interval '2 minutes'")
    queues = part(await operator.get(PATH), "queues")
    assert re.search(r"intake Reads files up to 32 MiB\. No worker serves it.* act 1 0 0 2 min", queues)


async def test_a_running_job_is_shown_with_its_worker_and_batch(
    idle_system: System, operator: httpx.AsyncClient
) -> None:
    await idle_system.publish("journey: 1\nname: One\nsteps:\n  - id: out\n    exit: {}\n")
    batch = await idle_system.start(b'{"id": "a"}\n')
    async with idle_system.engine.pool.connection() as connection:
        await connection.execute(
            "with w as (insert into procrastinate_workers (last_heartbeat) values (now() - interval '20 s')"
            " returning id) update procrastinate_jobs set status = 'doing', worker_id = (select id from w)"
        )
    page = await operator.get(PATH)
    assert re.search(rf"\d+ intake read {batch} \S+ s? ?20 s ago", part(page, "running"))
    assert f'href="/console/{idle_system.customer}/batches/{batch}"' in page.text
    assert "none; one was last heard 20 s ago" in part(page, "findings")


async def test_stuck_work_leads_to_its_batch_and_hostile_reasons_are_text(
    system: System, operator: httpx.AsyncClient
) -> None:
    batch = await stick(system, "<script>alert(1)</script>")
    page = await operator.get(PATH)
    assert "<script>alert" not in page.text
    assert f"{batch} : 3 contacts at" in part(page, "stuck")
    assert "<script>alert(1)</script>" in part(page, "stuck")
    assert "Stuck contacts act 3" in part(page, "findings")
    assert f'href="/console/{system.customer}/batches/{batch}"' in page.text


async def test_the_page_is_kept_live_by_one_poller_for_all(system: System, operator: httpx.AsyncClient) -> None:
    await waiting_batch(system)
    watches = operator._transport.app.state.watches  # type: ignore[attr-defined]
    pollers: list[int] = []
    batch = ""

    async def enough(seen: list[dict[str, str]]) -> bool:
        nonlocal batch
        pollers.append(watches.pollers)
        if seen and not batch:
            batch = await stick(system, "the relay refuses")
        return any("the relay refuses" in each.get("stuck", "") for each in seen)

    both = await asyncio.gather(streamed(operator, PATH, enough), streamed(operator, PATH, enough))
    assert max(pollers) == 1
    for _ in range(500):
        if watches.pollers:
            await asyncio.sleep(0.01)
    assert watches.pollers == 0
    for events in both:
        assert {"verdict", "findings", "queues", "running", "versions", "stuck"} == set(events[0])
        assert "versions" not in events[-1]


async def test_how_late_cohorts_were_taken_up_is_a_figure(idle_system: System, operator: httpx.AsyncClient) -> None:
    assert "fell due" not in part(await operator.get(PATH), "queues")
    for late in (0.02, 0.08, 0.5, 20):
        idle_system.engine.metrics.wake_lateness_seconds.observe(late)
    await report(idle_system.engine.pool, idle_system.engine.metrics)
    told = part(await operator.get(PATH), "queues")
    assert "Of 4 cohorts that fell due" in told
    shares = (
        "50.0 % were taken up within 0.1 s",
        "75.0 % were taken up within 1 s",
        "75.0 % were taken up within 10 s",
    )
    assert "{}, {} and {}.".format(*shares) in told
