"""The page of suppressions: searched, added to, removed from with an undo, imported, exported, with a history."""

import re

import httpx

from caravan.access.audit import entries
from caravan.access.users import Role
from tests.integration.conftest import System
from tests.integration.console.test_console import HOSTILE, browser, buttons, editor, http, signed_in

__all__ = ["editor", "http"]


def _path(system: System, rest: str = "") -> str:
    return f"/console/{system.customer}/suppressions{rest}"


async def _add(page: httpx.AsyncClient, system: System, **fields: str) -> httpx.Response:
    return await page.post(_path(system), data={"act": "add", "channel": "email", **fields}, follow_redirects=True)


async def test_an_empty_list_says_what_to_do(editor: httpx.AsyncClient, idle_system: System) -> None:
    page = await editor.get(_path(idle_system))
    assert page.status_code == 200
    assert "No address is suppressed" in page.text and "import its list" in page.text
    assert {"Add", "Import"} <= set(buttons(page))
    assert f'<a href="{_path(idle_system)}" aria-current="page">Suppressions</a>' in page.text


async def test_an_address_is_added_found_removed_and_put_back(editor: httpx.AsyncClient, idle_system: System) -> None:
    system = idle_system
    page = await _add(editor, system, address="Anna@Example.com", topic="News", detail="by phone")
    assert "anna@example.com is on the list." in page.text
    await _add(editor, system, address="ben@example.com")
    page = await editor.get(_path(system, "?address=AN"))
    assert "anna@example.com" in page.text and "ben@example.com" not in page.text
    (number,) = re.findall(r'name="id" value="(\d+)"', page.text)
    page = await editor.post(_path(system), data={"act": "remove", "id": number}, follow_redirects=True)
    assert "<b>anna@example.com</b> was removed" in page.text
    (lifted,) = re.findall(r'name="id" value="(\d+)"><button name="act" value="undo"', page.text)
    page = await editor.post(_path(system), data={"act": "undo", "id": lifted}, follow_redirects=True)
    assert "anna@example.com is on the list." in page.text
    async with system.engine.pool.connection() as connection:
        acts = [each.act for each in await entries(connection, system.customer)]
    assert acts[:4] == ["restore_suppression", "lift_suppression", "suppress", "suppress"]


async def test_what_is_no_address_is_told_on_the_page(editor: httpx.AsyncClient, idle_system: System) -> None:
    page = await _add(editor, idle_system, address="nobody")
    assert page.status_code == 400
    assert "must be one mail address" in page.text


async def test_a_viewer_sees_the_list_and_changes_nothing(
    http: httpx.AsyncClient, editor: httpx.AsyncClient, idle_system: System
) -> None:
    await _add(editor, idle_system, address="anna@example.com")
    async with browser(idle_system.engine) as other:
        await signed_in(other, idle_system, Role.VIEWER)
        page = await other.get(_path(idle_system))
        assert "anna@example.com" in page.text
        assert not {"Add", "Import", "Remove"} & set(buttons(page))
        assert (await _add(other, idle_system, address="ben@example.com")).status_code == 403


async def test_a_file_is_imported_and_its_bad_lines_are_shown(editor: httpx.AsyncClient, idle_system: System) -> None:
    content = "address,reason\r\nanna@example.com,unsubscribed\r\nnobody,\r\nben@example.com,\r\n"
    files = {"file": ("list.csv", content.encode(), "text/csv")}
    page = await editor.post(_path(idle_system), files=files)
    assert page.status_code == 200
    assert "2 added, 0 known before, 1 refused, of 3 lines." in page.text
    assert "<b>Line 3</b>" in page.text
    exported = await editor.get(_path(idle_system, "/export"))
    assert exported.headers["content-disposition"] == f'attachment; filename="suppressions-{idle_system.customer}.csv"'
    assert {line.split(",")[0] for line in exported.text.splitlines()} == {
        "address",
        "anna@example.com",
        "ben@example.com",
    }
    lines = {"file": ("list.ndjson", b'{"address": "cleo@example.com"}', "")}
    assert "1 added" in (await editor.post(_path(idle_system), files=lines)).text


async def test_no_file_or_half_a_form_imports_nothing(editor: httpx.AsyncClient, idle_system: System) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    empty = b'--x\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--x--\r\n'
    half = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nanna@example.com\n'
    for content, word in ((empty, "No file was chosen"), (half, "broke off"), (b"", "broke off")):
        page = await editor.post(_path(idle_system), content=content, headers=kind)
        assert page.status_code == 400 and word in page.text
    assert "No address is suppressed" in (await editor.get(_path(idle_system))).text


async def test_the_history_tells_what_stands_and_what_stood(editor: httpx.AsyncClient, idle_system: System) -> None:
    system = idle_system
    await _add(editor, system, address="anna@example.com", topic="News")
    await _add(editor, system, address="anna@example.com")
    await system.http.delete(system.path("suppressions?address=anna@example.com&topic=News"))
    page = await editor.get(_path(system, "/history?channel=email&address=anna%40example.com"))
    assert "Stands now" in page.text and "Stood before" in page.text
    assert "from <b>News</b>" in page.text and "token " in page.text
    missing = await editor.get(_path(system, "/history?channel=email&address=ben%40example.com"))
    assert missing.status_code == 404


async def test_hostile_texts_are_shown_and_do_nothing(editor: httpx.AsyncClient, idle_system: System) -> None:
    hostile = {"address": f"{HOSTILE}@x.example", "channel": "webhook"}
    page = await _add(editor, idle_system, **hostile, topic="<script>a</script>", detail=HOSTILE)
    assert "<img src=x" not in page.text and "<script>a" not in page.text
    history = await editor.get(_path(idle_system, "/history"), params=hostile)
    assert history.status_code == 200
    assert "<img src=x" not in history.text and "<script>a" not in history.text


async def test_pages_lead_on(editor: httpx.AsyncClient, idle_system: System) -> None:
    system = idle_system
    await system.post("suppressions", [{"address": f"c{number:03}@example.com"} for number in range(120)])
    for query in ("", "?address=c"):
        seen, path = set[str](), _path(system, query)
        while path:
            page = await editor.get(path)
            seen |= set(re.findall(r"c\d{3}@example\.com</a>", page.text))
            found = re.search(r'href="([^"]+)" rel="next"', page.text)
            path = found[1].replace("&amp;", "&") if found else ""
        assert len(seen) == 120
