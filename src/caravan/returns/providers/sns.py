"""Messages of Amazon SNS over HTTP: verified, and subscriptions of known topics confirmed.

A message names the certificate that it is signed with. It is fetched only from the SNS of the topic's own region, over
HTTPS, and then kept: who can put a certificate there can sign anything anyway. The topic has to be one of the
settings, also before a subscription is confirmed, since every topic of every account has a valid signature.
"""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from caravan.errors import Forbidden, InvalidInput, Unavailable

_TOPIC: Final = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):sns:(?P<region>[a-z]{2}[a-z0-9-]{3,30}):\d{12}:[\w.-]{1,256}"
)
_NOTIFICATION: Final = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION: Final = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_HASHES: Final[Mapping[str, type[SHA1] | type[SHA256]]] = {"1": SHA1, "2": SHA256}
_SECONDS: Final = 10.0
_LARGEST: Final = 64 << 10  # octets of a certificate
_KEPT: Final = 16  # certificates


class Sns:
    """Reads messages of the topics with these ARNs. `client` makes the calls to SNS; `now` is the time in UTC."""

    def __init__(
        self,
        topics: Collection[str],
        client: Callable[[], httpx.AsyncClient] = lambda: httpx.AsyncClient(timeout=_SECONDS, trust_env=False),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._topics = frozenset(topics)
        self._client = client
        self._now = now
        self._certificates: dict[str, x509.Certificate] = {}

    async def read(self, body: bytes) -> dict[str, Any] | None:
        """The JSON object that a notification carries; None for a message about the subscription itself, which is
        confirmed. Raises `InvalidInput` for what is no message of SNS, `Forbidden` for one that is not ours, and
        `Unavailable` while SNS can't be asked."""
        message = _message(body)
        topic = message["TopicArn"]
        if topic not in self._topics:
            raise Forbidden("This topic is not one of CARAVAN_SES_TOPICS.")
        await self._verify(message, topic)
        if message["Type"] == "Notification":
            return _object(message["Message"])
        if message["Type"] == "SubscriptionConfirmation":
            await self._confirm(_url_of(topic, message["SubscribeURL"]))
        return None

    async def _verify(self, message: dict[str, str], topic: str) -> None:
        algorithm = _HASHES.get(message.get("SignatureVersion", ""))
        if algorithm is None:
            raise Forbidden("This SignatureVersion is not known; there are 1 and 2.")
        url = _url_of(topic, message.get("SigningCertURL", ""))
        if not urlsplit(url).path.endswith(".pem"):
            raise Forbidden("SigningCertURL names no certificate.")
        key = (await self._certificate(url)).public_key()
        if not isinstance(key, RSAPublicKey):
            raise Forbidden("The certificate has no RSA key.")
        try:
            signature = b64decode(message.get("Signature", ""), validate=True)
            key.verify(signature, _signed(message), PKCS1v15(), algorithm())
        except (InvalidSignature, ValueError):
            raise Forbidden("The signature of this message is not that of Amazon SNS.") from None

    async def _certificate(self, url: str) -> x509.Certificate:
        found = self._certificates.get(url)
        if found is None:
            try:
                found = x509.load_pem_x509_certificate(await self._get(url))
            except ValueError:
                raise Forbidden("There is no certificate at SigningCertURL.") from None
            while len(self._certificates) >= _KEPT:
                self._certificates.pop(next(iter(self._certificates)))
            self._certificates[url] = found
        if not found.not_valid_before_utc <= self._now() <= found.not_valid_after_utc:
            del self._certificates[url]
            raise Forbidden("The certificate at SigningCertURL is not valid now.")
        return found

    async def _confirm(self, url: str) -> None:
        await self._get(url)

    async def _get(self, url: str) -> bytes:
        try:
            async with self._client() as client, client.stream("GET", url, follow_redirects=False) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise Unavailable(f"Amazon SNS answered {answer.status_code}; it sends the message again.")
                content = b""
                async for piece in answer.aiter_bytes():
                    content += piece
                    if len(content) > _LARGEST:
                        raise Unavailable("Amazon SNS answered more than was asked for; it sends the message again.")
                return content
        except httpx.HTTPError as error:
            raise Unavailable(f"Amazon SNS can't be reached: {type(error).__name__}.") from None


def _message(body: bytes) -> dict[str, str]:
    """A message with all the texts that its kind has to have."""
    message = _object(body)
    kind = message.get("Type")
    needed = _NOTIFICATION if kind == "Notification" else _CONFIRMATION
    if kind not in ("Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"):
        raise InvalidInput("This is no message of Amazon SNS; leave raw message delivery off for this subscription.")
    if any(not isinstance(message.get(name), str) for name in needed if name != "Subject"):
        raise InvalidInput("Something is missing in this message of Amazon SNS.")
    return {name: value for name, value in message.items() if isinstance(value, str)}


def _signed(message: Mapping[str, str]) -> bytes:
    """What the signature of a message covers: names and values, each with a line end."""
    names = _NOTIFICATION if message["Type"] == "Notification" else _CONFIRMATION
    return "".join(f"{name}\n{message[name]}\n" for name in names if name in message).encode("utf-8", "replace")


def _url_of(topic: str, url: str) -> str:
    """The URL, if it is one of the SNS of the topic's region."""
    found = _TOPIC.fullmatch(topic)
    if found is None:
        raise Forbidden("This is no ARN of a topic.")
    host = f"sns.{found['region']}.amazonaws.com" + (".cn" if found["partition"] == "aws-cn" else "")
    try:
        parts = urlsplit(url)
        is_ours = parts.scheme == "https" and parts.netloc == host
    except ValueError:
        is_ours = False
    if not is_ours or any(not "!" <= each <= "~" for each in url):
        raise Forbidden(f"The URL in this message does not lead to https://{host}.")
    return url


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInput("The body is not a JSON object.")
    return found
