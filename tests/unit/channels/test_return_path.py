"""Where bounces go: the envelope sender bears the key, and the mail is signed for the domain in From all the same."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from caravan.channels.email_step import EMAIL
from caravan.channels.mail import Mail
from caravan.channels.return_path import return_address
from caravan.channels.sandbox import Received, Sandbox
from caravan.delivery.key import LONGEST, DeliveryKey, make_key
from caravan.delivery.result import Result
from caravan.errors import InvalidSetting
from caravan.returns.keys import key_of_address
from caravan.settings import Settings, read_settings

KEY = make_key(DeliveryKey("b_ffffffffffffffffffff", 1023, (1 << 30) - 1, (1 << 50) - 1), b"secret")
CONTENT = f"From: shop@example.com\r\nMessage-ID: <{KEY}@example.com>\r\n\r\nHello\r\n".encode()
MAIL = Mail("shop@example.com", "anna@example.net", f"<{KEY}@example.com>", CONTENT)


async def _sent(given: Mail = MAIL, **settings: object) -> Received:
    async with Sandbox() as sandbox:
        made = Settings(smtp_url=sandbox.url, **settings)  # type: ignore[arg-type]
        async with EMAIL.make(made) as channel:
            assert (await channel.send(given)).result is Result.SENT
        return sandbox.mails[0]


def test_the_longest_key_fits_a_local_part_and_is_read_back_in_any_case() -> None:
    address = return_address(KEY, "bounces.example.com")
    assert len(KEY) == LONGEST and len(address.partition("@")[0]) <= 64
    assert key_of_address(address) == key_of_address(address.upper()) == key_of_address(f"<{address}>") == KEY
    for other in (f"{KEY}@x", f"xbounce-{KEY}@x", f"bounce-{KEY}", f"bounce-{KEY}+x@x", f"bounce-{KEY}\n@x"):
        assert key_of_address(other) is None


async def test_without_a_domain_the_sender_stays_and_no_header_is_added(tmp_path: Path) -> None:
    mail = await _sent(data=tmp_path)
    assert (mail.sender, mail.content) == ("shop@example.com", CONTENT)


async def test_the_envelope_alone_bears_the_address_and_the_signature_is_of_the_domain_in_from(tmp_path: Path) -> None:
    folder = tmp_path / "dkim" / "example.com"
    folder.mkdir(parents=True)
    key = Ed25519PrivateKey.generate()
    (folder / "s1.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    mail = await _sent(
        data=tmp_path, bounce_domain="bounces.example.net", dkim_keys=tmp_path / "dkim", sendgrid_key="x"
    )
    assert mail.sender == return_address(KEY, "bounces.example.net")
    head, _, rest = mail.content.partition(b"DKIM-Signature: ")
    assert head == b'X-SMTPAPI: {"unique_args": {"delivery": "' + KEY.encode() + b'"}}\r\n'
    assert b"d=example.com;" in rest and b"bounces.example.net" not in mail.content
    assert rest.endswith(CONTENT)


async def test_a_test_is_no_delivery_and_stays_as_it_is(tmp_path: Path) -> None:
    test = replace(MAIL, message_id="<test0123456789abcdef@example.com>")
    mail = await _sent(test, data=tmp_path, bounce_domain="bounces.example.net", sendgrid_key="x")
    assert (mail.sender, mail.content) == ("shop@example.com", CONTENT)


async def test_a_header_that_the_author_has_set_is_not_set_again(tmp_path: Path) -> None:
    own = replace(MAIL, content=b'x-smtpapi: {"category": "spring"}\r\n' + CONTENT)
    mail = await _sent(own, data=tmp_path, sendgrid_key="x", postmark_password="y")
    assert mail.content == f"X-PM-Metadata-delivery: {KEY}\r\n".encode() + own.content


@pytest.mark.parametrize("domain", ["bounces", "a..b", "a b.example.com", "é.example.com", "x.example.com\n", "@x.y"])
def test_what_is_no_domain_is_refused(domain: str) -> None:
    with pytest.raises(InvalidSetting, match="CARAVAN_BOUNCE_DOMAIN"):
        read_settings(bounce_domain=domain.replace("\n", "\nx"))
