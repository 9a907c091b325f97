"""The page of events: which came lately, and those of one name or of one contact."""

import httpx
import pytest

from caravan.access.users import Role
from tests.integration.conftest import System
from tests.integration.console.test_console import HOSTILE, browser, signed_in
from tests.integration.console.test_contacts import words


async def report(system: System, contact: str, event: str, **properties: object) -> None:
    answer = await system.post("events", {"id": contact, "event": event, "properties": properties})
    assert answer.json()["taken"] == 1, answer.text


async def look(http: httpx.AsyncClient, system: System, **query: str) -> httpx.Response:
    return await http.get(f"/console/{system.customer}/events", params=query)


async def test_events_are_counted_by_name_and_looked_through(idle_system: System) -> None:
    system = idle_system
    async with browser(system.engine) as http:
        await signed_in(http, system, Role.VIEWER)
        assert "No event came within 24 hours" in words(await look(http, system))
        for number in range(60):
            await report(system, f"c{number}", "purchase", total=number)
        await report(system, "c7", "visit")
        page = await look(http, system)
        assert "purchase 60" in words(page) and "visit 1" in words(page)
        assert f'href="/console/{system.customer}/events" aria-current="page">Events</a>' in page.text

        first = await look(http, system, event="purchase")
        assert ("c59" in words(first), "c9 " in words(first)) == (True, False)
        (older,) = [part.split('"')[0] for part in first.text.split('class="button" href="')[1:]]
        second = words(await http.get(older.replace("&amp;", "&")))
        assert ('c9 purchase {"total":9}' in second.replace(": ", ":"), "c59" in second) == (True, False)

        both = words(await look(http, system, id="c7"))
        assert ("purchase" in both, "visit" in both) == (True, True)
        one = words(await look(http, system, id="c7", event="visit"))
        assert ("c7 visit" in one, "total" in one) == (True, False)
        assert "No such event is kept" in words(await look(http, system, event="Purchase"))
        for wrong in ({"event": "x" * 65}, {"id": "x" * 257}, {"event": "visit", "before": "yesterday"}):
            assert (await look(http, system, **wrong)).status_code == 400


async def test_what_contacts_did_does_nothing_on_the_page(idle_system: System) -> None:
    system = idle_system
    await report(system, HOSTILE, "visit", page=HOSTILE)
    async with browser(system.engine) as http:
        await signed_in(http, system, Role.VIEWER)
        page = await look(http, system, event="visit")
        assert HOSTILE not in page.text
        assert page.status_code == 200


@pytest.mark.parametrize("limit", [2, 100])
async def test_programs_list_the_same(idle_system: System, limit: int) -> None:
    system = idle_system
    for contact in ("a", "b", "c"):
        await report(system, contact, "visit", who=contact)
    await report(system, "a", "other")
    listed, path = list[dict[str, object]](), f"events?event=visit&limit={limit}"
    while path:
        answer = await system.get(path)
        listed += answer.json()
        path = answer.links["next"]["url"].partition(f"/{system.customer}/")[2] if "next" in answer.links else ""
    assert [(each["contact"], each["properties"]) for each in listed] == [(c, {"who": c}) for c in ("c", "b", "a")]
    named = (await system.get("events/names")).json()
    assert {each["event"]: each["events"] for each in named} == {"visit": 3, "other": 1}
    assert (await system.get("events")).status_code in (400, 422)
    assert (await system.get("events/names?hours=0")).status_code in (400, 422)
