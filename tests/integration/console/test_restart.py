"""Starting again and forgetting in the console: what a page says first, who may confirm it, and what it leaves."""

import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest

from caravan.access.audit import entries
from caravan.access.users import Role
from tests.integration.conftest import System
from tests.integration.console.test_console import browser, buttons, signed_in
from tests.integration.engine.test_restart import failing_batch
from tests.integration.journeys_for_tests import EXIT, WAIT, contacts


@pytest.fixture
async def editor(system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(system.engine) as http:
        await signed_in(http, system)
        yield http


def plain(page: httpx.Response) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def fields(page: httpx.Response) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))


async def acts(system: System) -> list[tuple[str, str]]:
    async with system.engine.pool.connection() as connection:
        found = await entries(connection, system.customer)
    return [(each.act, each.subject) for each in found if each.act in ("restart", "forget")]


async def test_those_who_failed_start_again_once_it_is_confirmed(system: System, editor: httpx.AsyncClient) -> None:
    batch = await failing_batch(system, 50)
    path = f"/console/{system.customer}/batches/{batch}"
    assert "Start again with those who failed" in buttons(await editor.get(path))
    page = await editor.get(f"{path}/restart")
    assert "10 contacts that left a step as failed enter “One mail” once more" in plain(page)
    assert len((await system.get("batches")).json()) == 1
    done = await editor.post(f"{path}/restart", data=fields(page))
    assert done.status_code == 303
    new = done.headers["location"].rpartition("/")[2]
    found = await system.ended(new)
    assert (found["ledger"]["entered"], found["restartOf"]["batch"]) == (10, batch)
    assert "Started again with those who left a step of" in plain(await editor.get(done.headers["location"]))
    assert await acts(system) == [("restart", f"batch {batch}")]


async def test_a_form_that_is_sent_twice_opens_one_batch(system: System, editor: httpx.AsyncClient) -> None:
    batch = await failing_batch(system, 10)
    path = f"/console/{system.customer}/batches/{batch}/restart"
    form = fields(await editor.get(path))
    one, two = [(await editor.post(path, data=form)).headers["location"] for _ in range(2)]
    assert one == two
    assert len(await acts(system)) == 1
    assert (await editor.post(path, data={**form, "outcome": "sent"})).status_code == 409


async def test_the_page_tells_of_another_outcome_step_and_version_and_can_hold(
    system: System, editor: httpx.AsyncClient
) -> None:
    batch = await failing_batch(system, 50)
    await system.publish(EXIT)
    path = f"/console/{system.customer}/batches/{batch}/restart"
    page = await editor.get(f"{path}?outcome=sent&step=mail")
    assert "40 contacts that left “mail” as sent enter “Straight out” once more" in plain(page)
    assert "They walk version 2 of the journey; this batch walked version 1." in plain(page)
    assert "They got a message there already." in plain(page)
    done = await editor.post(path, data={**fields(page), "hold": "yes"})
    new = done.headers["location"].rpartition("/")[2]
    found = await system.until(new, lambda each: (each["waiting"] or {}).get("kind") == "held")
    assert found["ledger"]["entered"] == 40


async def test_where_nobody_can_start_again_the_page_says_why_and_has_no_confirm(
    system: System, editor: httpx.AsyncClient
) -> None:
    batch = await failing_batch(system, 10)
    path = f"/console/{system.customer}/batches/{batch}/restart"
    page = await editor.get(f"{path}?outcome=unknown")
    assert "has left a step as unknown" in plain(page)
    assert "Confirm" not in buttons(page)
    assert "There is no step" in plain(await editor.get(f"{path}?outcome=failed&step=<script>"))
    await system.publish(WAIT)
    running = await system.start(contacts(3))
    await system.until(running, lambda each: each["ledger"]["entered"] == 3)
    page = await editor.get(f"/console/{system.customer}/batches/{running}/restart")
    assert "nobody to start again with" in plain(page)
    wrong = await editor.post(path, data={"outcome": "unknown", "once": "1"})
    assert wrong.status_code == 409
    assert await acts(system) == []


async def test_a_viewer_sees_the_numbers_and_may_confirm_nothing(system: System) -> None:
    batch = await failing_batch(system, 10)
    async with browser(system.engine) as viewer:
        await signed_in(viewer, system, Role.VIEWER)
        for page in ("restart", "forget"):
            path = f"/console/{system.customer}/batches/{batch}/{page}"
            assert "Confirm" not in buttons(await viewer.get(path))
            assert (await viewer.post(path, data={"outcome": "failed", "once": "1"})).status_code == 403
    assert await acts(system) == []


async def test_an_ended_batch_is_forgotten_once_it_is_confirmed(system: System, editor: httpx.AsyncClient) -> None:
    batch = await failing_batch(system, 10)
    path = f"/console/{system.customer}/batches/{batch}"
    assert "Forget" in buttons(await editor.get(path))
    page = await editor.get(f"{path}/forget")
    assert "This deletes 10 contacts with their properties" in plain(page)
    assert (await system.get(f"batches/{batch}/journal")).status_code == 200
    assert (await editor.post(f"{path}/forget", data={})).headers["location"] == path
    assert (await system.get(f"batches/{batch}/journal")).status_code == 410
    shown = await editor.get(path)
    assert "Its contacts were deleted" in plain(shown)
    assert not {"Forget", "Start again with those who failed"} & set(buttons(shown))
    assert (await editor.get(f"{path}/forget")).headers["location"] == path
    assert await acts(system) == [("forget", f"batch {batch}")]


async def test_a_running_batch_is_not_forgotten(system: System, editor: httpx.AsyncClient) -> None:
    await system.publish(WAIT)
    batch = await system.start(contacts(3))
    await system.until(batch, lambda each: each["ledger"]["entered"] == 3)
    path = f"/console/{system.customer}/batches/{batch}"
    assert "Forget" not in buttons(await editor.get(path))
    assert (await editor.get(f"{path}/forget")).headers["location"] == path
    assert (await editor.post(f"{path}/forget", data={})).status_code == 409
    assert await acts(system) == []
