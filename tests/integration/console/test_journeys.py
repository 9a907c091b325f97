"""The pages of journeys: the list, a journey with its versions, and what steers all its batches."""

import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest

from caravan.access.audit import Actor, ActorKind, entries, record
from caravan.access.users import Role
from tests.integration.conftest import System
from tests.integration.console.test_console import HOSTILE, browser, buttons, signed_in, streamed, waiting_batch
from tests.integration.journeys_for_tests import EXIT, SPRING, WAIT, contacts


@pytest.fixture
async def editor(idle_system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(idle_system.engine) as http:
        await signed_in(http, idle_system)
        yield http


def plain(page: httpx.Response) -> str:
    """What stands on a page, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def journeys_of(system: System) -> str:
    return f"/console/{system.customer}/journeys"


async def test_the_list_says_what_to_do_where_there_is_no_journey(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    page = await editor.get(journeys_of(idle_system))
    assert "No journey yet" in page.text
    assert f"caravan journeys apply FILE --customer {idle_system.customer}" in page.text
    assert re.search(rf'<a href="{journeys_of(idle_system)}" aria-current="page">Journeys</a>', page.text)


async def test_the_list_has_each_journey_with_its_newest_version_and_its_batches(
    system: System, editor: httpx.AsyncClient
) -> None:
    await waiting_batch(system)
    await system.publish(WAIT.replace("name: Wait", "name: Wait longer"))
    await system.publish(EXIT.replace("journey: 1", "journey: 7"), journey=7)
    rows = re.findall(r"<tr>\s*<td.*?</tr>", (await editor.get(journeys_of(system))).text, re.DOTALL)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in rows]
    told = [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in cells]
    assert [(row[0], row[2], row[4]) for row in told] == [("1", "2", "1"), ("7", "1", "0")]
    assert told[0][1] == "Wait longer"
    assert f'href="{journeys_of(system)}/7"' in rows[1]


async def test_a_journey_is_shown_in_the_version_that_is_asked_for(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    await idle_system.publish(WAIT)
    await idle_system.publish(WAIT.replace("3 days", "9 days"))
    path = f"{journeys_of(idle_system)}/1"
    newest, first = await editor.get(path), await editor.get(f"{path}?version=1")
    assert "Version 2 the newest" in plain(newest) and "9 days" in newest.text
    assert "Version 1 not the newest" in plain(first) and "3 days" in first.text
    assert f'<a class="button" href="{path}/edit">Edit</a>' in newest.text
    for query, status in (("?version=3", 404), ("?version=x", 400), ("?from=1&to=3", 404), ("?from=-1", 400)):
        assert (await editor.get(path + query)).status_code == status, query
    assert (await editor.get(f"{journeys_of(idle_system)}/2")).status_code == 404
    assert (await editor.get(f"{journeys_of(idle_system)}/{10**30}")).status_code == 404


async def test_the_rules_by_which_contacts_leave_are_sentences(idle_system: System, editor: httpx.AsyncClient) -> None:
    path = f"{journeys_of(idle_system)}/1"
    await idle_system.publish(WAIT)
    await idle_system.publish("goal: {event: purchase}\nexit_when: [{if: city = '<b>'}]\n" + WAIT)
    text = plain(await editor.get(path))
    assert "Contacts reach the goal and leave with the event purchase. Contacts leave once this is true" in text
    assert "true of them: city = '<b>'." in text
    assert "Who leaves on the way" not in plain(await editor.get(f"{path}?version=1"))
    assert "Goal and exit_when of the journey change." in plain(await editor.get(f"{path}?from=1&to=2"))


async def test_two_versions_are_compared_in_sentences(idle_system: System, editor: httpx.AsyncClient) -> None:
    await idle_system.publish(WAIT)
    await idle_system.publish(WAIT.replace("3 days", "9 days"))
    path = f"{journeys_of(idle_system)}/1"
    page = await editor.get(f"{path}?from=1&to=2")
    assert "From version 1 to version 2 Wait days changes. wait 3 days 9 days" in plain(page)
    assert "<del>3 days</del>" in page.text and "<ins>9 days</ins>" in page.text
    assert "From version 2 to version 1" in plain(await editor.get(f"{path}?from=2&to=1"))
    assert "These versions do the same" in (await editor.get(f"{path}?from=1&to=1")).text


async def test_who_published_a_version_is_told_where_the_audit_log_knows_it(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    ada = Actor(ActorKind.USER, "ada@example.com", idle_system.customer)
    async with idle_system.engine.pool.connection() as connection:
        await record(connection, ada, "publish", "journey 11", {"version": 1})
        await record(connection, ada, "publish", "journey 1", {"version": 2})
    await idle_system.publish(WAIT)
    await idle_system.publish(WAIT.replace("3 days", "9 days"))
    cells = re.findall(r'data-label="By">([^<]*)<', (await editor.get(f"{journeys_of(idle_system)}/1")).text)
    assert cells == ["ada@example.com", "test"]  # a token by what it is called


async def test_all_batches_are_paused_and_resumed_also_those_that_start_meanwhile(
    system: System, editor: httpx.AsyncClient
) -> None:
    path = f"{journeys_of(system)}/1"
    first = await waiting_batch(system)
    assert {"Pause", "Recall"} <= set(buttons(await editor.get(path)))
    answer = await editor.post(path, data={"act": "pause"})
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    second = await system.start(contacts(2))
    await system.until(second, lambda found: found["state"] == "paused" and found["ledger"]["entered"] == 2)
    assert (await system.batch(first))["state"] == "paused"
    page = await editor.get(path)
    assert "This journey is paused since" in page.text
    assert "Pause" not in buttons(page) and {"Resume", "Recall"} <= set(buttons(page))
    assert "paused" in (await editor.get(journeys_of(system))).text
    await editor.post(path, data={"act": "resume"})
    assert {(await system.batch(each))["state"] for each in (first, second)} == {"running"}
    assert "Resume" not in buttons(await editor.get(path))
    async with system.engine.pool.connection() as connection:
        found = await entries(connection, system.customer)
    steered = [(each.act, each.detail) for each in found if each.subject == "journey 1" and each.act != "publish"]
    assert steered == [("resume", {"batches": 2}), ("pause", {"batches": 1})]


async def test_a_batch_that_was_paused_by_itself_can_be_resumed_with_all(
    system: System, editor: httpx.AsyncClient
) -> None:
    batch = await waiting_batch(system)
    await system.post(f"batches/{batch}/pause", {})
    path = f"{journeys_of(system)}/1"
    assert {"Pause", "Resume", "Recall"} <= set(buttons(await editor.get(path)))
    await editor.post(path, data={"act": "resume"})
    assert (await system.batch(batch))["state"] == "running"


async def test_a_recall_of_all_says_todays_numbers_before_it_is_confirmed(
    system: System, editor: httpx.AsyncClient
) -> None:
    path = f"{journeys_of(system)}/1"
    found = [await waiting_batch(system, count) for count in (3, 4)]
    asked = await editor.get(f"{path}/recall")
    assert "This recalls all 2 batches of this journey. Recall stops 7 of 7 contacts where they stand" in asked.text
    assert "Confirm" in buttons(asked)
    assert {(await system.batch(each))["state"] for each in found} == {"running"}
    answer = await editor.post(f"{path}/recall")
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert {(await system.batch(each))["state"] for each in found} == {"cancelled"}
    again = await editor.get(f"{path}/recall")
    assert "No batch of this journey is under way" in again.text
    assert "Confirm" not in buttons(again)


async def test_those_who_wait_are_told_before_they_move_into_the_newest_version(
    system: System, editor: httpx.AsyncClient
) -> None:
    path = f"{journeys_of(system)}/1"
    batch = await waiting_batch(system, 5)
    assert "Who waits in older versions" not in (await editor.get(path)).text
    await system.publish(WAIT.replace("3 days", "9 days"))
    assert "Who waits in older versions" in buttons(await editor.get(path))
    asked = await editor.get(f"{path}/move")
    assert "5 of 5 contacts can move into version 2" in plain(asked)
    assert "yes, the step differs in version 2" in plain(asked)
    async with browser(system.engine) as viewer:
        await signed_in(viewer, system, Role.VIEWER)
        assert "Move" not in buttons(await viewer.get(f"{path}/move"))
        assert (await viewer.post(f"{path}/move")).status_code == 403
    assert 'name="reschedule" value="yes" checked' in (await editor.get(f"{path}/move?reschedule=yes")).text
    answer = await editor.post(f"{path}/move", data={"reschedule": "yes"})
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert (await system.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"moved": 5}
    again = await editor.get(f"{path}/move")
    assert "Nobody stands in a version before 2" in plain(again)
    assert "Move" not in buttons(again)


async def test_a_viewer_sees_a_journey_and_changes_nothing(system: System) -> None:
    batch = await waiting_batch(system)
    path = f"{journeys_of(system)}/1"
    async with browser(system.engine) as viewer:
        await signed_in(viewer, system, Role.VIEWER)
        page = await viewer.get(path)
        assert (page.status_code, f"{path}/edit" in page.text) == (200, False)
        assert not {"Pause", "Resume", "Recall"} & set(buttons(page))
        assert "Confirm" not in buttons(await viewer.get(f"{path}/recall"))
        assert (await viewer.post(path, data={"act": "pause"})).status_code == 403
        assert (await viewer.post(f"{path}/recall")).status_code == 403
    assert (await system.batch(batch))["state"] == "running"


@pytest.mark.parametrize("rest", ["", "/1", "/1/recall", "/1/move", "/1?from=1&to=2", "/1?version=1"])
async def test_hostile_names_are_text_on_every_page_of_a_journey(
    idle_system: System, editor: httpx.AsyncClient, rest: str
) -> None:
    await idle_system.publish(SPRING)
    renamed = SPRING.replace("name: Spring sale", f"name: '{HOSTILE}'")
    await idle_system.publish(renamed.replace('"Spring is here"', f"'{HOSTILE}'"))
    page = await editor.get(journeys_of(idle_system) + rest)
    assert page.status_code == 200
    assert HOSTILE in unescape(page.text)
    assert "<img src=x" not in page.text


async def test_no_page_of_a_journey_has_anything_inline_that_the_policy_would_stop(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    await idle_system.publish(SPRING)
    await idle_system.publish(WAIT)
    for rest in ("", "/1", "/1/recall", "/1/move", "/1?from=1&to=2"):
        text = (await editor.get(journeys_of(idle_system) + rest)).text
        assert not re.search(r'<[^>]*\s(style|on[a-z]+)=|<style|<script(?![^>]*src="/console/)', text), rest


async def test_the_journeys_of_other_customers_are_not_there(system: System, editor: httpx.AsyncClient) -> None:
    for rest in ("", "/1", "/1/recall", "/1/move"):
        assert (await editor.get(f"/console/{system.customer + 1}/journeys{rest}")).status_code == 404


async def test_a_batch_has_its_journey_as_a_graph_whose_counts_are_live(
    system: System, editor: httpx.AsyncClient
) -> None:
    batch = await waiting_batch(system)
    path = f"/console/{system.customer}/batches/{batch}"
    page = (await editor.get(path)).text
    assert '<svg class="graph-picture" role="img"' in page
    assert "3 here now" in page

    async def enough(seen: list[dict[str, str]]) -> bool:
        if len(seen) == 1:
            await system.post(f"batches/{batch}/cancel", {})
        return len(seen) > 1

    events = await streamed(editor, path, enough)
    assert events[0]["graph-counts"].strip() in page and events[0]["graph-list"].strip() in page
    assert "here now" not in events[-1]["graph-counts"]
    assert "graph-card" not in events[0]


async def test_a_batch_without_its_file_has_no_graph_yet_and_gets_it_by_its_stream(
    system: System, editor: httpx.AsyncClient
) -> None:
    await system.publish(WAIT)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
    path = f"/console/{system.customer}/batches/{opened['batchId']}"
    page = (await editor.get(path)).text
    assert '<section id="graph-card" hidden>' in page and 'live?graph=none"' in page

    async def enough(seen: list[dict[str, str]]) -> bool:
        if len(seen) == 1:
            await system.http.put(opened["uploadUrl"], content=contacts(2), headers={"Content-Type": "text/plain"})
        return any("2 here now" in each.get("graph-counts", each.get("graph-card", "")) for each in seen)

    events = await streamed(editor, path, enough, query=b"graph=none")
    assert sum("graph-card" in each for each in events) == 1
