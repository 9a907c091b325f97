"""Dead letters in the console: who they are, one or all of them sent once more, and by whom that may be done."""

import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest

from caravan.access.audit import Filter, entries
from caravan.access.users import Role
from tests.integration.conftest import System
from tests.integration.console.test_console import HOSTILE, browser, buttons, signed_in
from tests.integration.engine.test_webhooks import Sink, _journey, sink

__all__ = ["sink"]
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
async def editor(system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(system.engine) as http:
        await signed_in(http, system)
        yield http


async def failed(system: System, sink: Sink, count: int = 10) -> str:
    """A batch that has ended, at whose webhook so many failed."""
    names = [SCRIPT, *(str(number) for number in range(1, count))]
    sink.statuses = {name: [400] for name in names}
    await system.publish(_journey(sink.url).replace("name: hook", f"name: '{HOSTILE}'"))
    rows = "\n".join(f'{{"id": "{name}", "properties": {{}}}}' for name in [*names, "good"])
    batch = await system.start(rows.encode())
    await system.ended(batch)
    return batch


def plain(page: httpx.Response) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


async def test_all_dead_letters_of_a_step_are_replayed_once_their_number_is_confirmed(
    system: System, sink: Sink, editor: httpx.AsyncClient
) -> None:
    batch = await failed(system, sink)
    path = f"/console/{system.customer}/batches/{batch}"
    assert "10 dead letters: call once more" in plain(await editor.get(path))
    page = await editor.get(f"{path}/dead-letters")
    assert buttons(page).count("Replay") == 10
    assert SCRIPT not in page.text and HOSTILE not in page.text
    asked = await editor.get(f"{path}/replay?step=tell")
    assert "called once more for 10 contacts" in plain(asked)
    late = await editor.post(f"{path}/replay", data={"step": "tell", "count": "9"})
    assert (late.status_code, "has 10 dead letters, not 9" in plain(late)) == (409, True)
    assert len(sink.keys) == 11
    done = await editor.post(f"{path}/replay", data={"step": "tell", "count": "10"})
    assert (done.status_code, done.headers["location"]) == (303, path)
    found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 11}
    assert "There is no dead letter." in plain(await editor.get(f"{path}/dead-letters"))
    assert (await editor.get(f"{path}/replay?step=tell")).headers["location"] == f"{path}/dead-letters"
    async with system.engine.pool.connection() as connection:
        log = await entries(connection, system.customer, wanted=Filter(what="replay_dead_letters"))
    assert [(each.subject, each.detail) for each in log] == [(f"batch {batch}", {"step": "tell", "count": 10})]


async def test_one_dead_letter_is_replayed_and_the_list_has_pages_and_files(
    system: System, sink: Sink, editor: httpx.AsyncClient
) -> None:
    batch = await failed(system, sink, 60)
    path = f"/console/{system.customer}/batches/{batch}"
    done = await editor.post(f"{path}/dead-letters", data={"step": "tell", "contact": SCRIPT})
    assert done.status_code == 303
    await system.ended(batch)
    seen: list[str] = []
    query: str | None = "?step=tell"
    while query is not None:
        page = await editor.get(f"{path}/dead-letters{unescape(query)}")
        seen += re.findall(r"contacts\?id=[^\"]+\">([^<]+)</a>", page.text)
        following = re.search(r'<a href="([^"]+)" rel="next"', page.text)
        query = following[1] if following else None
    assert sorted(seen) == sorted(str(number) for number in range(1, 60))
    sheet = await editor.get(f"{path}/dead-letters?download=csv")
    assert sheet.headers["content-disposition"] == f'attachment; filename="{batch}-dead-letters.csv"'
    assert len(sheet.text.splitlines()) == 60
    again = await editor.post(f"{path}/dead-letters", data={"step": "tell", "contact": SCRIPT})
    assert again.status_code == 404
    for wrong in ("?step=post", "?after=x", "?download=xls"):
        assert (await editor.get(f"{path}/dead-letters{wrong}")).status_code == 400
    assert (await editor.post(f"{path}/replay", data={"step": "tell", "count": "²"})).status_code == 400


async def test_a_viewer_sees_dead_letters_and_replays_none(system: System, sink: Sink) -> None:
    batch = await failed(system, sink, 2)
    path = f"/console/{system.customer}/batches/{batch}"
    async with browser(system.engine) as http:
        await signed_in(http, system, Role.VIEWER)
        page = await http.get(f"{path}/dead-letters")
        assert (page.status_code, buttons(page)) == (200, ["Sign out"])
        assert "Confirm" not in buttons(await http.get(f"{path}/replay?step=tell"))
        for place in ("replay", "dead-letters"):
            answer = await http.post(f"{path}/{place}", data={"step": "tell", "count": "2", "contact": "1"})
            assert answer.status_code == 403
            assert (await http.get(f"/console/{system.customer + 1}/batches/{batch}/{place}")).status_code == 404
    assert len(sink.keys) == 3
