"""The receiver of bounces speaks TLS with the certificate of a file, also after it was renewed."""

import asyncio
import shutil
import smtplib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from caravan.channels.sandbox import Sandbox
from caravan.errors import InvalidSetting
from caravan.returns.receiver import receiving
from caravan.settings import Settings
from tests.integration.conftest import System, open_house, working
from tests.integration.journeys_for_tests import MAIL, contacts
from tests.integration.returns.test_command import started
from tests.unit.returns.mails import dsn

SHIPPED = Path(__file__).parents[2] / "unit" / "channels" / "localhost.pem"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A new one for localhost, and its key, in files of their own."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    (folder / "cert").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return folder / "cert", folder / "key"


def deliver(port: int, trusted: Path, to: str, kind: type[smtplib.SMTP] = smtplib.SMTP) -> tuple[int, bytes]:
    """Bring a bounce over TLS: the code of the last reply, and the certificate that was shown."""
    context = ssl.create_default_context(cafile=trusted)
    with kind("127.0.0.1", port, timeout=60) as client:
        client._host = "localhost"  # type: ignore[attr-defined]  # whose certificate it is
        assert client.starttls(context=context)[0] == 220
        client.ehlo_or_helo_if_needed()
        assert not client.has_extn("starttls")
        client.mail("<>")
        code, _ = client.rcpt(to)
        if code == 250:
            code, _ = client.data(dsn().replace(b"\n", b"\r\n"))
        assert isinstance(client.sock, ssl.SSLSocket)
        return code, client.sock.getpeercert(binary_form=True) or b""


async def returned(system: System) -> int:
    async with system.engine.pool.connection() as connection:
        found = await (await connection.execute("select count(*) as n from returns")).fetchone()
    assert found is not None
    return int(found["n"])  # type: ignore[call-overload]


@pytest.mark.parametrize(("scheme", "kind"), [("smtp", smtplib.SMTP), ("lmtp", smtplib.LMTP)])
async def test_bounces_come_over_tls_and_a_renewed_certificate_is_shown(
    settings: Settings, sandbox: Sandbox, tmp_path: Path, scheme: str, kind: type[smtplib.SMTP]
) -> None:
    cert, key = certificate(tmp_path)
    update = {"smtp_url": sandbox.url, "bounce_domain": "bounces.example.com", "bounce_url": f"{scheme}://127.0.0.1:0"}
    told = settings.model_copy(update={**update, "bounce_tls_cert": cert, "bounce_tls_key": key})
    told.__dict__["bounce_connections"] = 1  # which STARTTLS must not count twice
    async with open_house(told, sandbox) as system, working(system), receiving(system.engine) as (_, port):
        await system.publish(MAIL)
        await system.ended(await system.start(contacts(3)))
        senders = [mail.sender for mail in sandbox.mails]
        code, first = await asyncio.to_thread(deliver, port, cert, senders[0], kind)
        assert (code, await returned(system)) == (250, 1)
        key.write_text("half of it")  # whoever renews it writes one after the other
        code, same = await asyncio.to_thread(deliver, port, cert, senders[1], kind)
        assert (code, same) == (250, first)
        certificate(tmp_path)
        code, second = await asyncio.to_thread(deliver, port, cert, senders[2], kind)
        assert code == 250 and second != first
        assert await returned(system) == 3


async def test_without_a_certificate_there_is_no_tls(settings: Settings, sandbox: Sandbox) -> None:
    update = {"bounce_domain": "bounces.example.com", "bounce_url": "smtp://127.0.0.1:0"}
    async with (
        open_house(settings.model_copy(update=update), sandbox) as system,
        receiving(system.engine) as (_, port),
    ):
        with pytest.raises(smtplib.SMTPNotSupportedError):
            await asyncio.to_thread(deliver, port, SHIPPED, "bounce-1@bounces.example.com")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), ("nonsense", "it is no certificate with its key")],
)
async def test_a_certificate_that_is_none_is_one_sentence(
    settings: Settings, sandbox: Sandbox, tmp_path: Path, content: str | None, words: str
) -> None:
    file = tmp_path / "cert.pem"
    if content is not None:
        file.write_text(content)
    update = {"bounce_domain": "b.example.com", "bounce_url": "smtp://127.0.0.1:0", "bounce_tls_cert": file}
    async with open_house(settings.model_copy(update=update), sandbox) as system:
        with pytest.raises(InvalidSetting, match=words):
            async with receiving(system.engine):
                pass


async def test_the_command_speaks_tls_as_well(database: str, folder: Path, tmp_path: Path) -> None:
    """It runs on another event loop than tests do."""
    cert = shutil.copy(SHIPPED, tmp_path / "localhost.pem")
    async with started(database, folder, "smtp://127.0.0.1:0", BOUNCE_TLS_CERT=str(cert)) as port:
        code, _ = await asyncio.to_thread(deliver, port, SHIPPED, "bounce-1@elsewhere.example.com")
    assert code == 550
