"""What the console's buttons and forms do where something is in the way: stuck contacts, guessed passwords."""

import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest

from caravan.access.audit import entries
from caravan.steps.exit import Exit
from tests.integration.conftest import System
from tests.integration.console.test_console import PASSWORD, browser, buttons, sign_in, signed_in
from tests.integration.journeys_for_tests import EXIT, contacts
from tests.integration.queue.test_transient import _impatient  # noqa: F401  (it acts on each test of a module)


@pytest.fixture
async def editor(system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(system.engine) as http:
        await signed_in(http, system)
        yield http


async def test_retry_takes_up_what_is_stuck_and_the_page_says_before_why(
    system: System, editor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: Exit, cohort: object, tools: object) -> None:
        raise ValueError("<b>the step is broken</b>")

    await system.publish(EXIT)
    with monkeypatch.context() as patch:
        patch.setattr(Exit, "take", broken)
        batch = await system.start(contacts(3))
        await system.until(batch, lambda found: found["stuck"] == 3)
    path = f"/console/{system.customer}/batches/{batch}"
    page = await editor.get(path)
    assert "Retry" in buttons(page)
    assert "<b>the step" not in page.text
    assert "3 contacts at out are stuck since" in unescape(page.text)
    assert "stuck" in (await editor.get(f"/console/{system.customer}/batches")).text
    answer = await editor.post(path, data={"act": "retry"})
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    found = await system.ended(batch)
    assert (found["state"], found["ledger"]["steps"][0]["outcomes"]) == ("completed", {"passed": 3})
    assert "Retry" not in buttons(await editor.get(path))
    async with system.engine.pool.connection() as connection:
        acts = [each.act for each in await entries(connection, system.customer)]
    assert acts.count("retry") == 1


async def test_guesses_are_slowed_with_429_and_when_to_come_again_and_the_right_password_works_then(
    idle_system: System,
) -> None:
    async with browser(idle_system.engine) as http:
        email = await signed_in(http, idle_system)
        http.cookies.clear()
        answers = [await sign_in(http, email, f"guess {number}") for number in range(6)]
        assert [each.status_code for each in answers][-1] == 429
        slowed = answers[-1]
        after = int(slowed.headers["retry-after"])
        assert 1 <= after <= 60
        assert re.search(r'role="alert">There were too many attempts to sign in; try again in', slowed.text)
        assert (await sign_in(http, email, PASSWORD)).status_code == 429
        assert "set-cookie" not in slowed.headers
        await idle_system.turn(seconds=after)
        assert (await sign_in(http, email, PASSWORD)).status_code == 303
        fields = {"old": "guess", "new": PASSWORD + "!", "again": PASSWORD + "!"}
        told = [(await http.post("/console/password", data=fields)) for _ in range(6)]
        assert (told[0].status_code, told[-1].status_code) == (400, 429)
        assert int(told[-1].headers["retry-after"]) >= 1
