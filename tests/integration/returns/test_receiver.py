"""Bounces, complaints and replies by mail: each lands once, at the delivery whose key it came to."""

import asyncio
import socket

import pytest

from caravan.channels.sandbox import Sandbox
from caravan.returns.receiver import receiving
from caravan.settings import Settings
from tests.integration.conftest import open_house, working
from tests.integration.journeys_for_tests import MAIL, contacts
from tests.integration.returns.conftest import DOMAIN, Sent
from tests.unit.returns.mails import QMAIL, VACATION, arf, dsn, plain

SOFT = dsn(status="4.4.7", said="smtp; 421 4.4.7 delivery time expired")


async def test_the_envelope_sender_bears_the_delivery_key_and_the_mail_itself_stays_as_it_was(sent: Sent) -> None:
    mail = sent.mails[0]
    local, _, domain = mail.sender.partition("@")
    assert domain == DOMAIN and local.startswith("bounce-") and len(local) <= 64
    assert f"Message-ID: <{sent.key()}@".encode() in mail.content
    assert DOMAIN.encode() not in mail.content


async def test_a_hard_bounce_lands_in_events_counts_and_suppressions_and_can_be_taken_back(sent: Sent) -> None:
    code, _ = await sent.deliver(dsn())
    assert code == 250
    address = sent.mails[0].recipients[0]
    assert await sent.stops() == [(address, "hard_bounce", "email:bounce")]
    assert await sent.counts() == {"bounced": 1}
    (event,) = await sent.rows(
        "select contact, name, step, source, properties from events where batch_id = %s", sent.batch
    )
    assert (event["name"], event["step"], event["source"]) == ("bounced", "mail", "email:bounce")
    assert '"hard":true' in event["properties"] and "550 5.1.1" in event["properties"]
    (kept,) = await sent.rows("select address, code, raw from returns where batch_id = %s", sent.batch)
    assert kept["address"] == address and kept["code"] == "550 5.1.1"
    assert bytes(kept["raw"]) == dsn().replace(b"\n", b"\r\n")  # octet for octet

    answer = await sent.system.http.delete(sent.system.path("suppressions"), params={"address": address})
    assert answer.status_code == 200, answer.text
    assert await sent.stops() == []
    await sent.deliver(dsn())  # the same bounce once more changes nothing
    assert await sent.stops() == []


async def test_the_case_of_the_address_does_not_matter(sent: Sent) -> None:
    assert (await sent.deliver(dsn(), sent.mails[0].sender.upper()))[0] == 250
    assert await sent.counts() == {"bounced": 1}


async def test_the_same_bounce_counts_once_however_often_it_comes(sent: Sent) -> None:
    to = sent.mails[0].sender
    for code, _ in await asyncio.gather(*(sent.deliver(dsn(), to) for _ in range(8))):
        assert code == 250
    await sent.deliver(dsn(), to, to, to)
    assert await sent.counts() == {"bounced": 1}
    told = (await sent.system.http.get("/metrics")).text
    assert 'caravan_returns_total{kind="hard_bounce",source="email:bounce"} 1.0' in told
    assert len(await sent.rows("select from events where batch_id = %s", sent.batch)) == 1


async def test_a_soft_bounce_is_counted_and_only_many_in_a_row_over_days_stop_an_address(sent: Sent) -> None:
    assert (await sent.deliver(SOFT))[0] == 250
    assert await sent.counts() == {"bounced": 1}
    assert await sent.stops() == []
    address = sent.mails[0].recipients[0]
    await sent.rows("update soft_bounces set bounces = 4 where address = %s returning address", address)
    await sent.deliver(dsn(status="5.2.2", said="smtp; 552 5.2.2 over quota"))  # soft, and known for this delivery
    assert await sent.stops() == []
    (row,) = await sent.rows("select bounces from soft_bounces where address = %s", address)
    assert row["bounces"] == 4


async def test_the_fifth_soft_bounce_in_a_row_stops_the_address(sent: Sent) -> None:
    address = sent.mails[0].recipients[0]
    earlier = "insert into soft_bounces values (%s, 'email', %s, 4, now() - interval '8 days', now()) returning bounces"
    await sent.rows(earlier, sent.system.customer, address)
    await sent.deliver(SOFT)
    assert await sent.stops() == [(address, "hard_bounce", "email:bounce")]


async def test_a_reply_ends_a_row_of_soft_bounces(sent: Sent) -> None:
    await sent.deliver(SOFT)
    await sent.deliver(plain("Re: Hello", "Thank you"), sender="anna@example.net")
    assert await sent.rows("select from soft_bounces where customer_id = %s", sent.system.customer) == []
    assert await sent.counts() == {"bounced": 1, "replied": 1}


async def test_a_complaint_stops_the_address_by_the_key_in_it(sent: Sent) -> None:
    original = sent.mails[1].content.decode()
    code, _ = await sent.deliver(arf(original=original), f"complaints@{DOMAIN}", sender="abuse@example.net")
    assert code == 250
    assert await sent.stops() == [(sent.mails[1].recipients[0], "complaint", "email:arf")]
    assert await sent.counts() == {"complained": 1}


async def test_a_vacation_note_is_neither(sent: Sent) -> None:
    assert (await sent.deliver(VACATION))[0] == 250
    assert await sent.untouched()


async def test_a_bounce_in_no_standard_form_is_one(sent: Sent) -> None:
    await sent.deliver(QMAIL)
    assert len(await sent.stops()) == 1


def _altered(key: str) -> list[str]:
    """Keys that somebody could make of one: each character changed, cut, lengthened."""
    other = {"a": "b"}
    return [key[:at] + other.get(each, "a") + key[at + 1 :] for at, each in enumerate(key)] + [key[:-1], key + "0"]


async def test_a_forged_guessed_or_altered_key_changes_nothing(sent: Sent) -> None:
    keys = [*_altered(sent.key()), "1" + "0" * 40, "test0123456789", "", "x" * 60]
    for key in keys:
        code, _ = await sent.deliver(dsn(), f"bounce-{key}@{DOMAIN}")
        assert code == 550, key
        forged = f"Message-ID: <{key}@example.com>\n\nx"
        await sent.deliver(arf(original=forged), f"complaints@{DOMAIN}", sender="abuse@example.net")
    assert await sent.untouched()


async def test_no_mail_is_taken_for_anybody_else(sent: Sent) -> None:
    for to in (
        f"bounce-{sent.key()}@example.com",
        "anna@example.net",
        f"postmaster@{DOMAIN}",
        f"{sent.key()}@{DOMAIN}",
    ):
        assert (await sent.deliver(dsn(), to))[0] == 550
    assert await sent.untouched()


async def test_junk_is_harmless(sent: Sent) -> None:
    for junk in (b"", b"\0" * 5000, b"Subject: \xff\0\x80\n\n\0", b"--b\n" * 20_000, b"a" * 60_000):
        assert (await sent.deliver(junk))[0] == 250
    assert await sent.stops() == []


async def test_a_mail_that_is_too_large_is_refused(bounce_settings: Settings, sandbox: Sandbox) -> None:
    small = bounce_settings.model_copy(update={"bounce_bytes": 10_000})
    async with open_house(small, sandbox) as system, working(system), receiving(system.engine) as (_, port):
        await system.publish(MAIL)
        batch = await system.start(contacts(1))
        await system.ended(batch)
        sent = Sent(system, batch, list(sandbox.mails), port)
        assert (await sent.deliver(dsn() + b"x\n" * 8_000))[0] == 552
        assert (await sent.deliver(dsn(), options=("SIZE=20000",)))[0] == 552
        await asyncio.to_thread(_pour, port, sent.mails[0].sender)
        assert await sent.untouched()


def _pour(port: int, to: str) -> None:
    """Send one line without an end; the connection is cut before it has taken much."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{to}>\r\nDATA\r\n".encode())
        with pytest.raises(OSError):
            for _ in range(10_000):
                connection.sendall(b"x" * 10_000)


async def test_too_many_connections_are_told_to_come_again(bounce_settings: Settings, sandbox: Sandbox) -> None:
    few = bounce_settings.model_copy(update={"bounce_connections": 2})
    async with open_house(few, sandbox) as system, receiving(system.engine) as (host, port):
        held = [await asyncio.open_connection(host, port) for _ in range(2)]
        for reader, _ in held:
            assert (await reader.readline()).startswith(b"220 ")
        reader, refused = await asyncio.open_connection(host, port)
        assert await reader.read() == b"421 4.3.2 Too many connections\r\n"
        held[0][1].close()
        await held[0][1].wait_closed()
        refused.close()
        await asyncio.sleep(0.05)
        reader, fresh = await asyncio.open_connection(host, port)
        assert (await reader.readline()).startswith(b"220 ")
        for writer in (held[1][1], fresh):
            writer.close()


async def test_lmtp_answers_for_each_recipient(bounce_settings: Settings, sandbox: Sandbox) -> None:
    lmtp = bounce_settings.model_copy(update={"bounce_url": "lmtp://127.0.0.1:0"})
    async with open_house(lmtp, sandbox) as system, working(system), receiving(system.engine) as (host, port):
        await system.publish(MAIL)
        batch = await system.start(contacts(2))
        await system.ended(batch)
        first, second = (mail.sender for mail in sandbox.mails)
        reader, writer = await asyncio.open_connection(host, port)
        commands = ["LHLO x", "MAIL FROM:<>", f"RCPT TO:<{first}>", f"RCPT TO:<{second}>", "DATA"]
        writer.write(
            "".join(f"{each}\r\n" for each in commands).encode() + dsn().replace(b"\n", b"\r\n") + b".\r\nQUIT\r\n"
        )
        said = (await reader.read()).splitlines()
        assert said[-3:-1] == [b"250 2.6.0 Taken"] * 2
        writer.close()
        sent = Sent(system, batch, list(sandbox.mails), port)
        assert await sent.counts() == {"bounced": 2}


async def test_what_cannot_be_stored_is_told_to_come_again(sent: Sent) -> None:
    async with sent.system.engine.pool.connection() as connection:
        await connection.execute("alter table returns rename to returns_away")
    try:
        assert (await sent.deliver(dsn()))[0] == 451
    finally:
        async with sent.system.engine.pool.connection() as connection:
            await connection.execute("alter table returns_away rename to returns")
    assert (await sent.deliver(dsn()))[0] == 250
    assert await sent.counts() == {"bounced": 1}


async def test_what_came_back_goes_with_the_contacts_and_the_message_before(sent: Sent) -> None:
    from caravan.engine.upkeep import forget_returns

    await sent.deliver(dsn())
    await sent.system.turn(days=29)
    await forget_returns(sent.system.engine)
    assert (await sent.rows("select raw from returns where batch_id = %s", sent.batch))[0]["raw"] is not None
    await sent.system.turn(days=2)
    await forget_returns(sent.system.engine)
    assert (await sent.rows("select raw from returns where batch_id = %s", sent.batch))[0]["raw"] is None
    answer = await sent.system.post(f"batches/{sent.batch}/forget", {})
    assert answer.status_code == 200
    assert await sent.rows("select from returns where batch_id = %s", sent.batch) == []
    code, _ = await sent.deliver(dsn())  # the key is good, but nothing is left that it leads to
    assert code == 250
    assert await sent.rows("select from returns where batch_id = %s", sent.batch) == []
