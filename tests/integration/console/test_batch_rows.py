"""The console's lists of a batch: refused rows and contacts that were not reached, and both as files."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest

from caravan.access.users import Role
from caravan.console.pages import failures as failures_page
from tests.integration.conftest import System
from tests.integration.console.test_console import HOSTILE, browser, signed_in
from tests.integration.journeys_for_tests import EXIT, MAIL, contacts

SCRIPT = "<script>alert(1)</script>"
FORMULA = '=HYPERLINK("http://evil.example","click")'


@pytest.fixture
async def viewer(system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(system.engine) as http:
        await signed_in(http, system, Role.VIEWER)
        yield http


def plain(page: httpx.Response) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


async def batch_with_rejects(system: System) -> str:
    await system.publish(EXIT)
    nasty = f"{FORMULA}\n{SCRIPT}\n".encode()
    missing = b"".join(b'{"properties": {"n": %d}}\n' % number for number in range(120))
    batch = await system.start(contacts(2) + nasty + missing + contacts(1))
    await system.ended(batch)
    return batch


async def batch_with_failures(system: System, count: int = 130) -> str:
    await system.publish(MAIL.replace("One mail", json.dumps(HOSTILE)))
    rows = [{"id": "good", "properties": {"emailAddress": "c@example.com", "firstname": "C"}}]
    rows += [{"id": f"x{n}", "properties": {"emailAddress": f"nobody{n}"}} for n in range(count)]
    rows += [{"id": name, "properties": {"emailAddress": f"{SCRIPT} @"}} for name in (SCRIPT, FORMULA)]
    batch = await system.start("\n".join(map(json.dumps, rows)).encode())
    await system.ended(batch)
    return batch


async def test_the_rejects_page_shows_each_reason_with_its_first_rows(
    system: System, viewer: httpx.AsyncClient
) -> None:
    batch = await batch_with_rejects(system)
    path = f"/console/{system.customer}/batches/{batch}"
    assert f'href="{path}/rejects"' in (await viewer.get(path)).text
    page = await viewer.get(f"{path}/rejects")
    assert page.status_code == 200
    assert "123 of 125 rows were rejected" in plain(page)
    assert SCRIPT not in page.text
    assert "&lt;script&gt;" in page.text
    for line in (3, 4, 5, 9, 125):
        assert re.search(rf">{line}</span>", page.text), line
    assert not re.search(r">10</span>", page.text)
    assert re.search(r'title="Begins at byte \d+ of the file">3<', page.text)
    assert "All 120 rows" in plain(page)


async def test_the_rows_of_one_reason_have_pages(system: System, viewer: httpx.AsyncClient) -> None:
    batch = await batch_with_rejects(system)
    at = f"/console/{system.customer}/batches/{batch}/rejects"
    seen: list[int] = []
    query: str | None = "?code=missing_id"
    while query:
        page = await viewer.get(at + unescape(query))
        seen += [int(each) for each in re.findall(r"of the file\">(\d+)<", page.text)]
        found = re.search(r'<a href="([^"]+)" rel="next"', page.text)
        query = found[1] if found else None
    assert seen == list(range(5, 125))
    for wrong in ("?code=ugly", "?code=missing_id&after=x", "?download=xls"):
        assert (await viewer.get(at + wrong)).status_code == 400


async def test_the_rejects_are_downloaded_whole(system: System, viewer: httpx.AsyncClient) -> None:
    batch = await batch_with_rejects(system)
    at = f"/console/{system.customer}/batches/{batch}/rejects"
    sheet = await viewer.get(f"{at}?download=csv")
    assert sheet.headers["content-type"].startswith("text/csv")
    assert sheet.headers["content-disposition"] == f'attachment; filename="{batch}-rejects.csv"'
    rows = list(csv.DictReader(io.StringIO(sheet.text, newline="")))
    assert len(rows) == 123
    assert rows[0]["row"] == "'" + FORMULA
    lines = (await viewer.get(f"{at}?download=ndjson&code=not_json")).text.splitlines()
    assert [json.loads(line)["row"] for line in lines] == [FORMULA, SCRIPT]


async def test_a_batch_without_rejects_says_so(system: System, viewer: httpx.AsyncClient) -> None:
    await system.publish(EXIT)
    batch = await system.start(contacts(2))
    await system.ended(batch)
    path = f"/console/{system.customer}/batches/{batch}"
    assert "Every row of the file could be used." in plain(await viewer.get(f"{path}/rejects"))
    assert "Every message that was to be sent was sent." in plain(await viewer.get(f"{path}/failures"))
    opened = (await system.post("batchtrigger/v2", {"entityId": 1})).json()["batchId"]
    assert "not been read" in plain(await viewer.get(f"/console/{system.customer}/batches/{opened}/rejects"))


async def test_the_failures_page_groups_by_reason_and_lists_all_contacts(
    system: System, viewer: httpx.AsyncClient
) -> None:
    batch = await batch_with_failures(system)
    path = f"/console/{system.customer}/batches/{batch}"
    assert "132 not reached: who, and why" in plain(await viewer.get(path))
    seen: list[str] = []
    query: str | None = ""
    while query is not None:
        page = await viewer.get(f"{path}/failures{unescape(query)}")
        assert (page.status_code, SCRIPT in page.text, HOSTILE in page.text) == (200, False, False)
        seen += [unescape(each) for each in re.findall(r"contacts\?id=[^\"]+\">([^<]+)</a>", page.text)]
        found = re.search(r'<a href="([^"]+)" rel="next"', page.text)
        query = found[1] if found else None
    assert len(seen) == len(set(seen)) == 132
    assert {SCRIPT, FORMULA, "x0", "x129"} <= set(seen)
    assert "good" not in seen


async def test_the_contacts_of_one_reason_are_those_that_were_counted(
    system: System, viewer: httpx.AsyncClient
) -> None:
    batch = await batch_with_failures(system, 20)
    at = f"/console/{system.customer}/batches/{batch}/failures"
    page = await viewer.get(at)
    links = re.findall(r'class="reason wide"><a href="([^"]+)">', page.text)
    counts = [int(each) for each in re.findall(r'"Contacts" class="number">(\d+)<', page.text)]
    assert sum(counts) == 22
    assert len(links) == len(counts)
    for link, count in zip(links, counts, strict=True):
        narrowed = await viewer.get(at + unescape(link))
        assert len(re.findall(r"contacts\?id=", narrowed.text)) == count
        assert 'aria-current="true"' in narrowed.text


async def test_the_failures_are_downloaded_whole(system: System, viewer: httpx.AsyncClient) -> None:
    batch = await batch_with_failures(system)
    at = f"/console/{system.customer}/batches/{batch}/failures"
    sheet = await viewer.get(f"{at}?download=csv")
    assert sheet.headers["content-disposition"] == f'attachment; filename="{batch}-failures.csv"'
    rows = list(csv.DictReader(io.StringIO(sheet.text, newline="")))
    assert len(rows) == 132
    assert {row["outcome"] for row in rows} == {"failed"}
    assert "'" + FORMULA in {row["contact"] for row in rows}
    lines = (await viewer.get(f"{at}?download=ndjson&step=mail&outcome=failed")).text.splitlines()
    assert FORMULA in {json.loads(line)["contact"] for line in lines}
    assert (await viewer.get(f"{at}?download=ndjson&outcome=sent")).status_code == 400
    assert (await viewer.get(f"{at}?step=post")).status_code == 400


async def test_the_lists_of_a_forgotten_batch_and_of_others_are_not_there(
    system: System, viewer: httpx.AsyncClient
) -> None:
    batch = await batch_with_rejects(system)
    await system.post(f"batches/{batch}/forget", {})
    for page in ("rejects", "failures"):
        assert (await viewer.get(f"/console/{system.customer}/batches/{batch}/{page}")).status_code == 410
        assert (await viewer.get(f"/console/{system.customer + 1}/batches/{batch}/{page}")).status_code == 404


async def test_a_long_journal_is_read_in_parts_and_the_page_says_so(
    system: System, viewer: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = await batch_with_failures(system, 20)
    at = f"/console/{system.customer}/batches/{batch}/failures"
    monkeypatch.setattr(failures_page, "_SECONDS", 0.0)
    first = plain(await viewer.get(at))
    assert "These are the reasons of 0 of 22" in first and "Read on" in first
    seen: list[str] = []
    query: str | None = ""
    while query is not None:
        page = await viewer.get(at + unescape(query))
        seen += re.findall(r"contacts\?id=[^\"]+\">([^<]+)</a>", page.text)
        found = re.search(r'<a href="([^"]+)" rel="next"', page.text)
        query = found[1] if found else None
    assert len(seen) == len(set(seen)) == 22
    monkeypatch.setattr(failures_page, "_SECONDS", 5.0)
    whole = plain(await viewer.get(at))
    assert "These are the reasons of" not in whole
    for wrong in ("x", "1", "1-", "-1-1", "1-1-1", "9" * 30 + "-1"):
        assert (await viewer.get(f"{at}?after={wrong}")).status_code == 400, wrong
