"""Text messages in the console and by API: previews with segments, tests, the sandbox, channels and suppressions."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from caravan.access.users import Role
from caravan.channels.sandbox import Sandbox
from caravan.queries.sandbox import list_messages
from caravan.settings import Settings
from tests.integration.conftest import System, open_house, working
from tests.integration.console.test_console import browser, signed_in
from tests.integration.console.test_editor import path, plain
from tests.integration.engine.test_hold import hold
from tests.unit.channels.sms.gateways import ACCOUNT, TOKEN

JOURNEY = """
journey: 1
name: Texts
steps:
  - id: tell
    sms: {to: "{{ phone }}", text: "Hello {{ name }}", region: SE, max_segments: 3}
"""
ANNA = '{"id": "a", "properties": {"phone": "070-123 45 67", "name": "Anna – <script>"}}'


@pytest.fixture
async def house(settings: Settings, sandbox: Sandbox) -> AsyncIterator[System]:
    """A system with a worker, and neither a relay nor a gateway."""
    async with open_house(settings, sandbox) as system, working(system):
        yield system


@pytest.fixture
async def owner(house: System) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(house.engine) as http:
        await signed_in(http, house, Role.OWNER)
        yield http


async def press(http: httpx.AsyncClient, system: System, **fields: str) -> httpx.Response:
    form = {"base": "0", "source": JOURNEY, "contact": ANNA, **fields}
    return await http.post(path(system), data=form)


async def test_the_editor_shows_what_a_text_takes(house: System, owner: httpx.AsyncClient) -> None:
    page = await press(owner, house, act="preview")
    assert page.status_code == 200
    assert "1 segment in UCS-2, because of – (U+2013) ." in plain(page)
    assert "Hello Anna – <script>" in plain(page)
    assert "<script>" not in page.text.partition("<main")[2].partition('id="preview"')[2]
    refused = await press(owner, house, act="preview", contact=ANNA.replace("070-123 45 67", "08-123 456 78"))
    assert "This contact gets no message here: '08-123 456 78' is a landline" in plain(refused)


async def test_a_test_goes_to_a_number(house: System, owner: httpx.AsyncClient) -> None:
    page = await press(owner, house, test="tell", **{"number-tell": "070-765 43 21"})
    assert page.status_code == 200, plain(page)
    assert "The test of tell was sent to 070-765 43 21: kept in the sandbox as" in plain(page)
    assert "No SMS gateway is set, so it is in the sandbox and went nowhere." in plain(page)
    async with house.engine.pool.connection() as connection:
        (found,) = await list_messages(connection)
    assert (found.channel, found.recipient, found.subject) == ("sms", "+46707654321", "[Test] Hello Anna – <script>")
    wrong = await press(owner, house, test="tell", **{"number-tell": "12"})
    assert wrong.status_code == 400
    assert "'12' is no phone number" in plain(wrong)


async def test_a_program_can_send_a_test_to_a_number(house: System) -> None:
    await house.publish(JOURNEY)
    contact = json.loads(ANNA)
    answer = await house.post("journeys/1/test", {"step": "tell", "to": " +46707654321 ", "contact": contact})
    assert (answer.status_code, answer.json()["result"]) == (200, "sent"), answer.text
    answer = await house.post("journeys/1/test", {"step": "tell", "to": "anna@example.com", "contact": contact})
    assert (answer.status_code, answer.json()["detail"]) == (400, "'anna@example.com' is no phone number.")


async def test_the_sandbox_shows_texts_beside_mails(house: System, owner: httpx.AsyncClient) -> None:
    await house.publish(JOURNEY)
    row = {"id": "a", "properties": {"phone": "0701234567", "name": "<script>alert(1)</script>\nyou 🎉"}}
    batch = await house.start(json.dumps(row).encode() + b"\n")
    await house.ended(batch)
    page = await owner.get(f"/console/{house.customer}/sandbox")
    assert "Hello <script>alert(1)</script> you 🎉" in plain(page)
    assert "<script>alert" not in page.text
    async with house.engine.pool.connection() as connection:
        (found,) = await list_messages(connection)
    shown = await owner.get(f"/console/sandbox/{found.id}")
    assert "the gateway’s own sender" in plain(shown)
    assert "Hello <script>alert(1)</script> you 🎉" in plain(shown)
    headers = await owner.get(f"/console/sandbox/{found.id}?view=headers")
    assert "Segments 1 Encoding UCS-2 Because 🎉 (U+1F389)" in plain(headers)
    file = await owner.get(f"/console/sandbox/{found.id}/source")
    assert file.headers["content-type"].startswith("text/plain")
    assert file.text == "Hello <script>alert(1)</script>\nyou 🎉"
    contact = await owner.get(f"/console/{house.customer}/contacts?id=a")
    assert f'href="/console/sandbox/{found.id}">See the text</a>' in contact.text


async def test_the_channels_page_says_where_texts_go(house: System, owner: httpx.AsyncClient) -> None:
    address = f"/console/{house.customer}/channels"
    page = await owner.get(address)
    assert "SMS sandbox No SMS gateway is set: text messages are kept in the sandbox" in plain(page)
    sms_url = f"twilio://{ACCOUNT}:{TOKEN}@api.twilio.com?from=Shop"
    engine = replace(house.engine, settings=house.engine.settings.model_copy(update={"sms_url": sms_url}))
    async with browser(engine) as http:
        await signed_in(http, house)
        page = await http.get(address)
    assert "SMS not used yet" in plain(page)
    assert TOKEN not in page.text
    assert ACCOUNT not in page.text


async def test_a_preflight_counts_segments(house: System) -> None:
    await house.publish(JOURNEY)
    names = ["Anna", "x" * 200, "Åsa – you", "y" * 1_000]
    rows = [{"id": f"c{n}", "properties": {"phone": "0701234567", "name": name}} for n, name in enumerate(names)]
    batch = await hold(house, b"".join(json.dumps(each).encode() + b"\n" for each in rows))
    (found,) = (await house.get(f"batches/{batch}/preflight")).json()["messages"]
    assert found["segments"] == {
        "total": 4, "most": 2, "encodings": {"GSM-7": 2, "UCS-2": 1}, "because": {"– (U+2013)": 1},
    }  # fmt: skip
    assert found["failed"] == {"The text takes 7 segments; max_segments is 3.": 1}
    assert found["samples"][0]["size"] == {"segments": 1, "encoding": "GSM-7", "because": None}


async def test_a_number_is_suppressed_in_its_international_form(house: System) -> None:
    added = await house.post("suppressions", {"address": "+46 70-123 45 67", "channel": "sms"})
    assert added.status_code == 200, added.text
    (found,) = (await house.get("suppressions?channel=sms")).json()
    assert found["address"] == "+46701234567"
    refused = await house.post("suppressions", {"address": "0701234567", "channel": "sms"})
    assert (refused.status_code, refused.json()["detail"]) == (
        400,
        "'0701234567' is no phone number in international form, like +46701234567.",
    )
    await house.publish(JOURNEY)
    batch = await house.start(ANNA.encode() + b"\n")
    assert (await house.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"suppressed": 1}
    lifted = await house.http.delete(house.path("suppressions?channel=sms&address=%2B46701234567"))
    assert lifted.json() == {"removed": 1}
