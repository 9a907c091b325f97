"""Text messages through the engine to a gateway on loopback, and what comes back of them."""

import hmac
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from aiohttp import web

from caravan.channels.sandbox import Sandbox
from caravan.settings import Settings
from caravan.store.customers import add_customer
from caravan.store.sandbox import Page, get, page
from tests.integration.conftest import System, open_house, working
from tests.unit.channels.sms.gateways import ACCOUNT, TOKEN, FakeGateway, serving

BASE = "https://texts.example.com"
OURS = "+46700000001"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JOURNEY = """
journey: 1
name: Texts
steps:
  - id: tell
    sms: {to: "{{ phone }}", text: "{{ text }}", region: SE, max_segments: 2}
"""


def people(*rows: dict[str, Any]) -> bytes:
    return b"".join(
        json.dumps({"id": f"c{number}", "properties": row}).encode() + b"\n" for number, row in enumerate(rows)
    )


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    yield FakeGateway()


@pytest.fixture
async def system(settings: Settings, sandbox: Sandbox, gateway: FakeGateway) -> AsyncIterator[System]:
    """A system that sends by Twilio's API, as the fake one has it, and a worker."""
    async with serving(gateway) as url:
        sms_url = f"twilio://{ACCOUNT}:{TOKEN}@api.twilio.com?from={OURS}&api={url}"
        update = {"sms_url": sms_url, "public_url": BASE, "smtp_url": sandbox.url}
        async with open_house(settings.model_copy(update=update), sandbox) as system, working(system):
            yield system


async def sent(system: System, content: bytes, definition: str = JOURNEY) -> dict[str, Any]:
    """A batch that has ended."""
    await system.publish(definition)
    return await system.ended(await system.start(content))


async def journal(system: System, batch: str) -> dict[str, tuple[str, str]]:
    found = await system.lines(f"batches/{batch}/journal?step=tell")
    return {each["contact"]: (each["outcome"], each["detail"]) for each in found}


def twilio_headers(path: str, fields: dict[str, str], token: str = TOKEN) -> dict[str, str]:
    signed = BASE + path + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    signature = b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()
    return {**FORM, "X-Twilio-Signature": signature}


async def call(system: System, path: str, fields: dict[str, str], token: str = TOKEN) -> int:
    """A call that Twilio makes; its status. It comes by a proxy, at another address than the one that was signed."""
    headers = twilio_headers(path, fields, token)
    return (await system.http.post(path, content=urlencode(fields), headers=headers)).status_code


async def answer(system: System, text: str, number: str = "+46701234567", sid: str = "SM1", path: str = "") -> int:
    """An answer to us."""
    fields = {"MessageSid": sid, "From": number, "To": OURS, "Body": text, "NumMedia": "0"}
    return await call(system, f"/returns/sms/replies{path}", fields)


async def events(system: System, customer: int | None = None) -> list[tuple[str, str, str]]:
    """(contact, name, step) of all events, in their order."""
    async with system.engine.pool.connection() as connection:
        found = await connection.execute(
            "select contact, name, step from events where customer_id = %s order by id", (customer or system.customer,)
        )
        return [(each["contact"], each["name"], each["step"]) for each in await found.fetchall()]


async def suppressions(system: System) -> list[dict[str, Any]]:
    return list((await system.get("suppressions?channel=sms")).json())


async def test_each_contact_gets_a_text_or_an_outcome(system: System, gateway: FakeGateway) -> None:
    batch = await sent(
        system,
        people(
            {"phone": "070-123 45 67", "text": "Hello – you"},
            {"phone": "08-123 456 78", "text": "Hello"},
            {"phone": "none", "text": "Hello"},
            {"phone": "0701234568", "text": "x" * 10_000},
            {"phone": "0701234569", "text": "Hi\r\nTo: x\x01\u202eevil"},
            {"phone": "0701234560", "text": "x" * 161},
        ),
    )
    (tell,) = batch["ledger"]["steps"]
    assert tell["outcomes"] == {"sent": 3, "failed": 2, "unsupported_address": 1}
    found = await journal(system, batch["id"])
    assert found["c0"][1].endswith(" queued (1 segment, UCS-2)")
    assert found["c1"] == ("unsupported_address", "'08-123 456 78' is a landline, which gets no text messages.")
    assert found["c2"] == ("failed", "'none' is no phone number.")
    assert found["c3"] == ("failed", "The text takes 66 segments; max_segments is 2.")
    assert found["c5"][1].endswith(" queued (2 segments, GSM-7)")
    forms = {form["To"][0]: form for form in (parse_qs(each.body.decode()) for each in gateway.got)}
    assert forms["+46701234569"]["Body"] == ["Hi\nTo: xevil"]
    assert {each.path for each in gateway.got} == {f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"}
    assert forms["+46701234567"]["From"] == [OURS]
    assert forms["+46701234567"]["StatusCallback"][0].startswith(f"{BASE}/returns/sms/reports/1")
    assert TOKEN not in str(found)


async def test_twilios_codes_decide(system: System, gateway: FakeGateway) -> None:
    codes = {"gone": 21211, "stopped": 21610, "landline": 21635, "region": 21408}

    def scripted(text: str) -> web.Response | None:
        code = codes.get(text)
        return None if code is None else web.json_response({"code": code, "message": f"no {TOKEN}"}, status=400)

    gateway.answer = scripted
    rows = [{"phone": f"07012345{60 + number}", "text": text} for number, text in enumerate([*codes, "Hello"])]
    batch = await sent(system, people(*rows))
    assert batch["ledger"]["steps"][0]["outcomes"] == {"sent": 1, "failed": 3, "unsupported_address": 1}
    assert (await journal(system, batch["id"]))["c0"] == ("failed", "400 21211 no ***")
    reasons = {each["address"]: (each["reason"], each["source"]) for each in await suppressions(system)}
    assert reasons == {
        "+46701234560": ("hard_bounce", "sms:refused"),
        "+46701234561": ("stop", "sms:refused"),
        "+46701234562": ("hard_bounce", "sms:refused"),
    }
    again = await sent(system, people(*rows))
    assert again["ledger"]["steps"][0]["outcomes"] == {"sent": 1, "failed": 1, "suppressed": 3}


async def test_an_account_in_trouble_holds_everybody_and_burns_nobody(system: System, gateway: FakeGateway) -> None:
    gateway.answer = lambda text: web.json_response({"code": 20003, "message": "Authenticate"}, status=401)
    await system.publish(JOURNEY)
    batch = await system.start(people(*({"phone": f"07012345{n:02}", "text": "Hello"} for n in range(30))))
    found = await system.until(batch, lambda found: "20003" in (found["waitingFor"] or ""))
    assert found["ledger"]["steps"][0]["outcomes"] == {}
    assert len(gateway.got) <= 20, "one window was tried"


async def test_a_report_becomes_an_event_of_the_contact(system: System, gateway: FakeGateway) -> None:
    batch = await sent(system, people(*({"phone": f"070123456{number}", "text": "Hello"} for number in range(4))))
    paths = {
        form["To"][0]: form["StatusCallback"][0].removeprefix(BASE)
        for form in (parse_qs(each.body.decode()) for each in gateway.got)
    }
    said = {
        "+46701234560": ("sent", ""), "+46701234561": ("delivered", ""),
        "+46701234562": ("undelivered", "30003"), "+46701234563": ("failed", "30005"),
    }  # fmt: skip
    for number, (status, code) in said.items():
        fields = {"MessageSid": "SM1", "MessageStatus": status, "To": number} | ({"ErrorCode": code} if code else {})
        for _ in range(2):  # some say it twice
            assert await call(system, paths[number], fields) == 204
        assert await call(system, paths[number], fields, token="wrong") == 403
    assert sorted(await events(system)) == [
        ("c1", "delivered", "tell"),
        ("c2", "bounced", "tell"),
        ("c3", "bounced", "tell"),
    ]
    stops = await suppressions(system)
    assert [(each["address"], each["reason"], each["source"]) for each in stops] == [
        ("+46701234563", "hard_bounce", "sms:twilio")
    ]
    assert batch["id"] in stops[0]["detail"]
    assert await call(system, "/returns/sms/reports/1forged", {"MessageStatus": "delivered"}) == 204
    assert len(await events(system)) == 3


async def test_stop_and_start_are_heard(system: System, gateway: FakeGateway) -> None:
    text = {"phone": "0701234567", "text": "Hello"}
    await sent(system, people(text))
    assert await answer(system, "Thanks!\0 When do you open?", sid="SM1") == 200
    assert await answer(system, " Stopp! ", sid="SM2") == 200
    stops = await suppressions(system)
    assert [(each["address"], each["reason"], each["source"], each["who"]) for each in stops] == [
        ("+46701234567", "stop", "sms:twilio", "recipient")
    ]
    stopped = await sent(system, people(text))
    assert stopped["ledger"]["steps"][0]["outcomes"] == {"suppressed": 1}
    needed = JOURNEY.replace("    sms:", "    transactional: true\n    sms:")
    assert (await sent(system, people(text), needed))["ledger"]["steps"][0]["outcomes"] == {"sent": 1}
    assert await answer(system, "START", sid="SM3") == 200
    assert await answer(system, "Stopp", sid="SM2") == 200, "an old one, told again"
    assert await suppressions(system) == []
    assert (await sent(system, people(text)))["ledger"]["steps"][0]["outcomes"] == {"sent": 1}
    assert await events(system) == [
        ("c0", "replied", "tell"), ("c0", "unsubscribed", "tell"), ("c0", "replied", "tell"),
    ]  # fmt: skip
    assert await answer(system, "STOP", sid="SM9", path="") == 200
    assert (await system.http.post("/returns/sms/replies", content="Body=STOP", headers=FORM)).status_code == 403


async def test_stop_reaches_only_those_who_wrote(system: System) -> None:
    async with system.engine.pool.connection() as connection:
        neighbour = await add_customer(connection, "neighbour", system.clock.now())
    await sent(system, people({"phone": "0701234567", "text": "Hello"}))
    assert await answer(system, "STOP", sid="SM1") == 200
    assert await answer(system, "STOP", number="+46709999999", sid="SM2") == 200, "nobody wrote to this one"
    assert await answer(system, "STOP", number="+46708888888", sid="SM3", path=f"/{neighbour}") == 200
    async with system.engine.pool.connection() as connection:
        found = await (await connection.execute("select customer_id, address from suppressions order by 2")).fetchall()
    assert [(each["customer_id"], each["address"]) for each in found] == [
        (system.customer, "+46701234567"),
        (neighbour, "+46708888888"),
    ]


async def test_a_pace_holds_for_texts(system: System, gateway: FakeGateway) -> None:
    answer = await system.http.put(system.path("channels/sms/rate"), json={"perDay": 3})
    assert answer.status_code == 200, answer.text
    await system.publish(JOURNEY)
    batch = await system.start(people(*({"phone": f"070123456{n}", "text": "Hello"} for n in range(8))))
    found = await system.until(batch, lambda found: found["waitingFor"] and len(gateway.got) == 3)
    assert "3" in found["waitingFor"]
    assert found["waiting"]["step"] == "tell"


async def test_what_is_lost_on_the_way_is_unknown_and_not_repeated(system: System, gateway: FakeGateway) -> None:
    batch = await sent(system, people({"phone": "0701234567", "text": "dies-1"}))
    assert batch["ledger"]["steps"][0]["outcomes"] == {"unknown": 1}
    assert len(gateway.got) == 1


async def test_a_gateway_by_file_signs_as_standard_webhooks_say(
    settings: Settings, sandbox: Sandbox, gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    (tmp_path / "hook").write_text("whsec_" + b64encode(secret).decode())
    monkeypatch.setenv("EXAMPLE_SMS_KEY", "k-0123456789")
    async with serving(gateway) as url:
        (tmp_path / "sms.yaml").write_text(
            f"""
name: example
url: "{url}/send"
headers: {{Authorization: "Bearer {{{{ secrets.key }}}}", Content-Type: application/json}}
body: '{{"text": {{{{ text | json }}}}, "to": {{{{ to | json }}}}, "ref": {{{{ key | json }}}}}}'
secrets: {{key: "env:EXAMPLE_SMS_KEY", hook: "file:{tmp_path}/hook"}}
sent: {{status: [202], id: "$.messages[0].id"}}
verify: {{standard_webhooks: hook}}
reports:
  each: $.results[*]
  key: $.ref
  status: $.status
  delivered: [DELIVRD]
  failed: [UNDELIV]
replies: {{from: $.msisdn, to: $.to, text: $.body, id: $.id}}
"""
        )
        update = {"sms_url": f"file:{tmp_path}/sms.yaml", "smtp_url": sandbox.url}
        async with open_house(settings.model_copy(update=update), sandbox) as system, working(system):
            await sent(system, people({"phone": "0701234567", "text": 'A "word"\nand 10 €'}))
            (got,) = gateway.got
            said = json.loads(got.body)
            assert (said["text"], said["to"]) == ('A "word"\nand 10 €', "+46701234567")
            assert got.headers["Authorization"] == "Bearer k-0123456789"
            body = json.dumps(
                {"results": [{"ref": said["ref"], "status": "DELIVRD"}, {"ref": "?", "status": "UNDELIV"}]}
            )
            assert await _signed(system, "/returns/sms/reports", body, secret) == 204
            assert await _signed(system, "/returns/sms/reports", body, b"x" * 32) == 403
            assert await _signed(system, "/returns/sms/reports", body, secret, age=600) == 403
            reply = json.dumps({"msisdn": "46701234567", "to": "Shop", "body": "STOP", "id": "7"})
            assert await _signed(system, "/returns/sms/replies", reply, secret) == 200
            assert await events(system) == [("c0", "delivered", "tell"), ("c0", "unsubscribed", "tell")]
            assert [each["source"] for each in await suppressions(system)] == ["sms:example"]


async def _signed(system: System, path: str, body: str, secret: bytes, age: int = 0) -> int:
    now = int(system.clock.now().timestamp()) - age
    signature = b64encode(hmac.digest(secret, f"m1.{now}.{body}".encode(), "sha256")).decode()
    headers = {"webhook-id": "m1", "webhook-timestamp": str(now), "webhook-signature": f"v1,{signature}"}
    answer = await system.http.post(path, content=body, headers={**headers, "Content-Type": "application/json"})
    return answer.status_code


async def test_without_a_gateway_texts_are_kept_in_the_sandbox(settings: Settings, sandbox: Sandbox) -> None:
    async with open_house(settings, sandbox) as system, working(system):
        batch = await sent(system, people({"phone": "0701234567", "text": "Hej på dig – Anna"}))
        assert (await journal(system, batch["id"]))["c0"][1].startswith("kept in the sandbox as ")
        async with system.engine.pool.connection() as connection:
            (found,) = await page(connection, Page(batch=batch["id"]))
            whole = await get(connection, found["id"], None)
        assert whole is not None
        assert (whole["channel"], whole["recipient"], bytes(whole["content"])) == (
            "sms", "+46701234567", "Hej på dig – Anna".encode(),
        )  # fmt: skip
        assert (await system.http.post("/returns/sms/replies", content="", headers=FORM)).status_code == 404
