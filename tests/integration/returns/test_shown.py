"""What came back is shown: by the API, to programs and as files, and on the console's pages."""

import csv
import io
from typing import Any

from tests.integration.returns.conftest import Sent
from tests.unit.returns.mails import dsn, plain

SOFT = dsn(status="5.2.2", said='smtp; 552 5.2.2 <script>alert(1)</script> =cmd|" /C calc" \u202e over quota')


async def _back(sent: Sent) -> None:
    """A hard bounce, a soft one of hostile words, and a reply."""
    await sent.deliver(dsn(), sent.mails[0].sender)
    await sent.deliver(SOFT, sent.mails[1].sender)
    await sent.deliver(plain("=1+1", "Thank you"), sent.mails[2].sender, sender="anna@example.net")


async def _lines(sent: Sent, query: str = "") -> list[dict[str, Any]]:
    return await sent.system.lines(f"batches/{sent.batch}/returns{query}")


async def test_returns_are_listed_narrowed_and_downloaded(sent: Sent) -> None:
    await _back(sent)
    found = await _lines(sent)
    assert [(each["kind"], each["hard"], each["contact"]) for each in found] == [
        ("bounced", True, "0"),
        ("bounced", False, "1"),
        ("replied", False, "2"),
    ]
    assert found[0] | {"id": 0, "at": ""} == {
        "id": 0,
        "step": "mail",
        "visit": 0,
        "line": 1,
        "contact": "0",
        "address": "c0@example.com",
        "kind": "bounced",
        "hard": True,
        "code": "550 5.1.1",
        "reason": "550 5.1.1 <anna@example.net>: user unknown",
        "source": "email:bounce",
        "at": "",
        "kept": True,
    }
    assert [each["contact"] for each in await _lines(sent, "?kind=replied&step=mail")] == ["2"]
    assert await _lines(sent, "?step=other") == []
    assert (await sent.system.get(f"batches/{sent.batch}/returns?kind=bounce")).status_code == 400
    answer = await sent.system.get(f"batches/{sent.batch}/returns?format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 3 and rows[2]["reason"] == "'=1+1"


async def test_a_message_is_there_as_it_came_and_is_never_shown_by_a_browser(sent: Sent) -> None:
    await _back(sent)
    first = (await _lines(sent))[0]["id"]
    answer = await sent.system.get(f"batches/{sent.batch}/returns/{first}")
    assert answer.content == dsn().replace(b"\n", b"\r\n")
    assert answer.headers["content-disposition"].startswith("attachment;")
    for other in (f"batches/{sent.batch}/returns/{first + 999}", f"batches/b_00000000000000000000/returns/{first}"):
        assert (await sent.system.get(other)).status_code == 404


async def test_what_came_back_is_counted_by_step(sent: Sent) -> None:
    await _back(sent)
    answer = await sent.system.get(f"batches/{sent.batch}/came-back")
    assert answer.json() == [
        {"step": "mail", "event": "bounced", "events": 2, "verdicts": {"hard": 1, "soft": 1}},
        {"step": "mail", "event": "replied", "events": 1, "verdicts": {}},
    ]


async def test_another_customer_sees_nothing_of_it(sent: Sent) -> None:
    await _back(sent)
    from caravan.store.customers import add_customer, create_token

    engine = sent.system.engine
    async with engine.pool.connection() as connection:
        other = await add_customer(connection, "other", engine.clock.now())
        token = await create_token(connection, other, "t", engine.clock.now())
    headers = {"Authorization": f"Bearer {token}"}
    for path in ("returns", "came-back", "returns/1"):
        answer = await sent.system.http.get(f"/{other}/batches/{sent.batch}/{path}", headers=headers)
        assert answer.status_code == 404
