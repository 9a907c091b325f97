"""Mails are signed so that another implementation of DKIM verifies them, and nothing that is signed can be changed."""

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.channels.content import BodyWriter
from caravan.channels.dkim import DkimKey, SigningChannel, read_keys, signed
from caravan.channels.mail import Letterhead, Mail, compose, own_header
from caravan.delivery.result import Result, SendResult
from caravan.errors import InvalidSetting

RSA = DkimKey("example.com", "r1", generate_private_key(65537, 2048))
ED = DkimKey("example.com", "e1", Ed25519PrivateKey.generate())


def _dns(name: bytes, timeout: float = 5) -> bytes:
    """What the domain publishes."""
    if name.startswith(b"r1._domainkey.example.com"):
        public = RSA.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return b"v=DKIM1; k=rsa; p=" + b64encode(public)
    assert name.startswith(b"e1._domainkey.example.com")
    public = ED.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return b"v=DKIM1; k=ed25519; p=" + b64encode(public)


def _verified(content: bytes) -> list[bool]:
    """Whether each of its signatures is good."""
    return [_is_good(content, index) for index in range(content.count(b"DKIM-Signature: "))]


def _is_good(content: bytes, index: int) -> bool:
    try:
        return bool(dkim.DKIM(content).verify(index, dnsfunc=_dns))
    except dkim.ValidationError:
        return False


def _mail(text: str = "Hi", subject: str = "Hej å", own: bytes = b"") -> bytes:
    return compose(
        Letterhead.of("Åsa <shop@example.com>", "help@example.com"),
        BodyWriter(),
        to="Bo <bo@example.org>",
        subject=subject,
        text=text,
        html="<p>x</p>",
        key="k" * 40,
        date=datetime(2026, 11, 26, tzinfo=UTC),
        own_headers=own,
    ).content


def test_both_kinds_of_keys_sign_and_are_verified() -> None:
    content = signed(_mail(), [RSA, ED], 1_700_000_000)
    assert _verified(content) == [True, True]
    assert max(map(len, content.split(b"\r\n"))) <= 998


@settings(max_examples=60)
@given(
    text=st.text() | st.text(st.sampled_from(" \t\r\n.a")),
    subject=st.text() | st.text(st.sampled_from(" \ta\r\n")),
    own=st.text(),
)
def test_whatever_is_in_a_mail_its_signature_is_good(text: str, subject: str, own: str) -> None:
    content = _mail(text, subject, own_header("Feedback-ID", own[:200]))
    assert _verified(signed(content, [ED], 1_700_000_000)) == [True]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.replace(b"\r\nTo: ", b"\r\nTo: x", 1), lambda c: c.replace(b"<p>x</p>", b"<p>y</p>"),
        lambda c: c.replace(b"\r\nFrom: ", b"\r\nFrom: evil@example.net\r\nFrom: ", 1),
        lambda c: c.replace(b"\r\nSubject: ", b"\r\nSubject: Win\r\nSubject: ", 1),
        lambda c: c.replace(b"List-Unsubscribe: <https", b"List-Unsubscribe: <http"),
        lambda c: c.replace(b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b""),
    ],
)  # fmt: skip
def test_what_is_signed_can_not_be_changed_or_added_to(change: Callable[[bytes], bytes]) -> None:
    own = b"List-Unsubscribe: <https://example.com/u/k>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    content = signed(_mail(own=own), [RSA, ED], 1_700_000_000)
    assert _verified(content) == [True, True]
    assert change(content) != content
    assert _verified(change(content)) == [False, False]


def _pem(key: DkimKey) -> bytes:
    return key.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_keys_are_read_from_files_named_by_domain_and_selector(tmp_path: Path) -> None:
    (tmp_path / "example.com").mkdir()
    (tmp_path / "example.com" / "r1.pem").write_bytes(_pem(RSA))
    (tmp_path / "example.com" / "e1.pem").write_bytes(_pem(ED))
    keys = read_keys(tmp_path)["example.com"]
    assert [(each.selector, each.algorithm) for each in keys] == [("e1", "ed25519-sha256"), ("r1", "rsa-sha256")]
    assert _verified(signed(_mail(), keys, 1_700_000_000)) == [True, True]


@pytest.mark.parametrize("content", [b"", b"secret", None])
def test_what_is_no_key_is_refused_and_never_told(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "example.com").mkdir()
        (tmp_path / "example.com" / "x.pem").write_bytes(content)
    with pytest.raises(InvalidSetting) as refusal:
        read_keys(tmp_path)
    assert "secret" not in str(refusal.value)


class _Kept:
    """A channel that keeps mails."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def __aenter__(self) -> "_Kept":
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def send(self, mail: Mail, on_data: Callable[[], None] | None = None) -> SendResult:
        self.mails.append(mail)
        return SendResult(Result.SENT, "")


@pytest.mark.parametrize(
    ("sender", "signatures"),
    [("a@example.com", 1), ("a@News.Example.com", 1), ("a@example.org", 0), ("a@notexample.com", 0)],
)
async def test_a_mail_is_signed_with_the_keys_of_its_domain_or_of_one_above(sender: str, signatures: int) -> None:
    kept = _Kept()
    async with SigningChannel(kept, {"example.com": [ED]}, lambda: 1_700_000_000) as channel:
        await channel.send(Mail(sender, "b@example.org", "<k@example.com>", _mail()))
    (mail,) = kept.mails
    assert _verified(mail.content) == [True] * signatures
