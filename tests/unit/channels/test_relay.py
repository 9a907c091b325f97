"""The handshake with somebody else's SMTP server: encryption, login, and a mail that arrives as it was."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from caravan.channels.email import EmailChannel
from caravan.channels.mail import Mail
from caravan.channels.relay import Relay
from caravan.delivery.result import Result

CERTIFICATE = Path(__file__).with_name("localhost.pem")  # signed by itself, for tests alone
MAIL = Mail("shop@example.com", "åsa@example.com", "<1@example.com>", b"Subject: x\r\n\r\n.\r\n..\r\n")

pytestmark = pytest.mark.filterwarnings(
    "ignore:Requiring AUTH while not requiring TLS:UserWarning", "ignore::UserWarning:aiosmtpd"
)


class Keeper:
    """What aiosmtpd hands over."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], bytes, bool]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        content, encrypted = envelope.original_content, session.ssl is not None
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, content, encrypted))
        return "250 2.0.0 kept"


def only_anna(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"anna", b"open sesame"), handled=False)


@asynccontextmanager
async def somebody_elses_server(from_start: bool = False, **options: Any) -> AsyncIterator[tuple[Keeper, str]]:
    keeper = Keeper()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(keeper, enable_SMTPUTF8=True, loop=loop, hostname="localhost", **options),
        "127.0.0.1",
        0,
        ssl=context() if from_start else None,
    )
    try:
        yield keeper, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.sleep(0)


def context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(CERTIFICATE)
    return made


async def result(url: str) -> tuple[Result, str]:
    async with EmailChannel(url, timeout=2) as channel:
        delivery = await channel.send(MAIL)
        return delivery.result, delivery.detail


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


async def test_a_mail_arrives_octet_for_octet() -> None:
    async with somebody_elses_server() as (keeper, place):
        assert await result(f"smtp://{place}") == (Result.SENT, "250 2.0.0 kept")
    assert keeper.mails == [("shop@example.com", ["åsa@example.com"], MAIL.content, False)]


class TestEncryption:
    async def test_is_used_when_it_is_offered_though_nobody_vouches_for_it(self) -> None:
        async with somebody_elses_server(tls_context=context()) as (keeper, place):
            assert (await result(f"smtp://{place}"))[0] is Result.SENT
        assert keeper.mails[0][3]

    async def test_is_not_used_when_it_is_turned_off(self) -> None:
        async with somebody_elses_server(tls_context=context()) as (keeper, place):
            assert (await result(f"smtp://{place}?tls=none"))[0] is Result.SENT
        assert not keeper.mails[0][3]

    async def test_that_is_required_needs_a_valid_certificate(self) -> None:
        async with somebody_elses_server(tls_context=context()) as (keeper, place):
            how, detail = await result(f"smtp://{place}?tls=required")
        assert how is Result.UNREACHABLE
        assert detail.startswith(f"The certificate of {place} is not valid: self")
        assert keeper.mails == []

    async def test_that_is_required_and_valid_is_used(self, trusted: None) -> None:
        async with somebody_elses_server(tls_context=context()) as (keeper, place):
            assert (await result(f"smtp://{place}?tls=required"))[0] is Result.SENT
        assert keeper.mails[0][3]

    async def test_that_is_required_must_be_offered(self) -> None:
        async with somebody_elses_server() as (keeper, place):
            how, detail = await result(f"smtp://{place}?tls=required")
        assert (how, keeper.mails) == (Result.UNREACHABLE, [])
        assert "STARTTLS" in detail

    async def test_from_the_start_needs_a_valid_certificate(self) -> None:
        async with somebody_elses_server(from_start=True) as (keeper, place):
            assert (await result(f"smtps://{place}"))[0] is Result.UNREACHABLE
        assert keeper.mails == []

    async def test_from_the_start_is_used(self, trusted: None) -> None:
        async with somebody_elses_server(from_start=True) as (keeper, place):
            assert (await result(f"smtps://{place}"))[0] is Result.SENT
        assert len(keeper.mails) == 1


class TestLogin:
    async def test_opens_the_door(self) -> None:
        options = {"authenticator": only_anna, "auth_required": True, "auth_require_tls": False}
        async with somebody_elses_server(**options) as (keeper, place):
            assert (await result(f"smtp://anna:open%20sesame@{place}"))[0] is Result.SENT
        assert len(keeper.mails) == 1

    async def test_that_is_wrong_is_a_trouble_of_the_channel(self) -> None:
        options = {"authenticator": only_anna, "auth_required": True, "auth_require_tls": False}
        async with somebody_elses_server(**options) as (_, place):
            how, detail = await result(f"smtp://anna:wrong@{place}")
        assert how is Result.UNREACHABLE
        assert "535" in detail
        assert "wrong" not in detail

    async def test_that_is_missing_is_a_trouble_of_the_channel(self) -> None:
        options = {"authenticator": only_anna, "auth_required": True, "auth_require_tls": False}
        async with somebody_elses_server(**options) as (_, place):
            how, detail = await result(f"smtp://{place}")
        assert (how, detail[:3]) == (Result.UNREACHABLE, "530")

    async def test_is_not_shown_to_a_far_relay_in_the_clear(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Relay, "is_local", property(lambda relay: False))
        shown: list[object] = []

        def listen(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
            shown.append(data)
            return AuthResult(success=True)

        async with somebody_elses_server(authenticator=listen, auth_require_tls=False) as (_, place):
            how, detail = await result(f"smtp://anna:open@{place}")
        assert (how, shown) == (Result.UNREACHABLE, [])
        assert "the password was not sent" in detail

    async def test_is_not_shown_to_a_far_relay_that_can_not_prove_its_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Relay, "is_local", property(lambda relay: False))
        async with somebody_elses_server(tls_context=context(), authenticator=only_anna) as (_, place):
            how, detail = await result(f"smtp://anna:open@{place}")
        assert how is Result.UNREACHABLE
        assert "certificate" in detail

    @pytest.mark.parametrize(
        ("url", "local"),
        [("smtp://127.0.0.1", True), ("smtp://[::1]", True), ("smtp://localhost", True), ("smtp://10.0.0.1", False),
         ("smtp://mail.example.com", False), ("smtp://127.0.0.1.example.com", False)],
    )  # fmt: skip
    def test_counts_as_local_on_this_machine_alone(self, url: str, local: bool) -> None:
        assert Relay.of(url).is_local is local
