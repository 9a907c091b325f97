"""The sandbox keeps what it is given, as it was given, and is strict enough to find a client's mistakes."""

import asyncio
from email import message_from_bytes
from pathlib import Path

import pytest

from caravan.channels.email import EmailChannel
from caravan.channels.mail import Mail
from caravan.channels.sandbox import Sandbox


async def say(url: str, *commands: bytes) -> list[bytes]:
    """What the sandbox answers to `commands` sent in one go, greeting included."""
    host, _, port = url.removeprefix("smtp://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"".join(commands) + b"QUIT\r\n")
    answer = await reader.read()
    writer.close()
    return answer.removesuffix(b"\r\n").split(b"\r\n")


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def codes(lines: list[bytes]) -> list[bytes]:
    return [line[:3] for line in lines if line[3:4] == b" "]


async def test_each_mail_becomes_one_file_with_its_envelope_on_top(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    content = b"From: x@example.com\r\nSubject: Hi\r\n\r\n.dot\r\n"
    async with Sandbox(folder) as sandbox, EmailChannel(sandbox.url) as channel:
        for number in range(3):
            await channel.send(Mail("shop@example.com", f"åsa{number}@example.com", "<1@x>", content))
    assert names_in(folder) == ["000001.eml", "000002.eml", "000003.eml"]
    stored = (folder / "000003.eml").read_bytes()
    head = "Return-Path: <shop@example.com>\r\nDelivered-To: åsa2@example.com\r\n"
    assert stored == head.encode() + content
    assert message_from_bytes(stored)["Subject"] == "Hi"


async def test_a_folder_with_earlier_mails_is_not_written_over(tmp_path: Path) -> None:
    for _ in range(2):
        async with Sandbox(tmp_path) as sandbox, EmailChannel(sandbox.url) as channel:
            await channel.send(Mail("a@b.co", "c@d.co", "<1@x>", b"x\r\n"))
    assert names_in(tmp_path) == ["000001.eml", "000002.eml"]


async def test_commands_in_one_go_are_answered_in_turn() -> None:
    async with Sandbox() as sandbox:
        lines = await say(
            sandbox.url,
            b"EHLO x\r\nMAIL FROM:<a@b.co>\r\nRCPT TO:<c@d.co>\r\nDATA\r\n",
            b"one\r\n.\r\nMAIL FROM:<e@f.co> SIZE=1\r\nRCPT TO:<g@h.co>\r\nRCPT TO:<i@j.co>\r\nDATA\r\n.\r\n",
        )
    assert codes(lines) == b"220 250 250 250 354 250 250 250 250 354 250 221".split()
    assert [(each.sender, each.recipients, each.content) for each in sandbox.mails] == [
        ("a@b.co", ["c@d.co"], b"one\r\n"),
        ("e@f.co", ["g@h.co", "i@j.co"], b"\r\n"),
    ]


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (b"RCPT TO:<a@b.co>\r\n", b"503"),
        (b"DATA\r\n", b"554"),
        (b"MAIL FROM:<a@b.co>\r\nDATA\r\n", b"554"),
        (b"MAIL FROM:<a@b.co>\r\nMAIL FROM:<a@b.co>\r\n", b"503"),
        (b"VRFY x\r\n", b"500"),
        (b"MAIL FROM:<a@b.co>\r\nRSET\r\nMAIL FROM:<a@b.co>\r\n", b"250"),
        (b"NOOP\r\n", b"250"),
    ],
)
async def test_commands_out_of_order_are_refused(commands: bytes, expected: bytes) -> None:
    async with Sandbox() as sandbox:
        lines = await say(sandbox.url, b"HELO x\r\n" + commands)
    assert codes(lines)[-2] == expected


async def test_a_line_end_without_cr_does_not_end_a_mail() -> None:
    """SMTP smuggling: only CRLF . CRLF is the end (RFC 5321 §4.1.1.4)."""
    async with Sandbox() as sandbox:
        await say(
            sandbox.url,
            b"EHLO x\r\nMAIL FROM:<a@b.co>\r\nRCPT TO:<c@d.co>\r\nDATA\r\n",
            b"one\n.\nMAIL FROM:<evil@b.co>\r\n.\r\n",
        )
    assert [each.content for each in sandbox.mails] == [b"one\n.\nMAIL FROM:<evil@b.co>\r\n"]
