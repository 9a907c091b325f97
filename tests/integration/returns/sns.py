"""A stand-in for Amazon SNS: it signs messages with a certificate of its own and serves that over HTTPS, at an address
that leads there from this process alone."""

import asyncio
import json
import ssl
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOST = "sns.eu-west-1.amazonaws.com"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:caravan-returns"
_ORDER = ("Message", "MessageId", "SubscribeURL", "Subject", "Timestamp", "Token", "TopicArn", "Type")


class StandIn:
    """Runs inside `async with`; `asked` are the paths that were asked for."""

    def __init__(self, folder: Path, host: str = HOST) -> None:
        self.asked: list[str] = []
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.certificate = _certificate(self._key, host)
        self._files = folder / "sns.pem", folder / "sns.key"
        self._files[0].write_bytes(self.certificate)
        self._files[1].write_bytes(
            self._key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        )

    async def __aenter__(self) -> "StandIn":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._files)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def client(self) -> httpx.AsyncClient:
        """What reaches it at the real address, over TLS that is checked."""
        trust = ssl.create_default_context(cafile=str(self._files[0]))
        return httpx.AsyncClient(transport=_Here(self.port, verify=trust), timeout=60)

    def message(self, kind: str, version: str = "2", **values: str) -> dict[str, Any]:
        """A message that is signed."""
        content = {
            "Type": kind,
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Timestamp": "2026-11-26T07:00:00.000Z",
            "SigningCertURL": f"https://{HOST}/SimpleNotificationService-01.pem",
            **values,
        }
        signed = "".join(f"{name}\n{content[name]}\n" for name in _ORDER if name in content).encode()
        algorithm = SHA1() if version == "1" else SHA256()
        signature = b64encode(self._key.sign(signed, PKCS1v15(), algorithm)).decode()
        return {**content, "SignatureVersion": version, "Signature": signature}

    def notification(self, event: dict[str, Any], version: str = "2") -> dict[str, Any]:
        """An event of SES as SNS carries it."""
        return self.message("Notification", version, Message=json.dumps(event), Subject="Amazon SES")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(request.split()[1])
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + self.certificate)
        await writer.drain()
        writer.close()


class _Here(httpx.AsyncHTTPTransport):
    """Dials this machine for whatever host is asked for, and checks its certificate for that host."""

    def __init__(self, port: int, verify: ssl.SSLContext) -> None:
        super().__init__(verify=verify)
        self._port = port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return await super().handle_async_request(request)


def _certificate(key: rsa.RSAPrivateKey, host: str) -> bytes:
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, SHA256())
    )
    return made.public_bytes(Encoding.PEM)
