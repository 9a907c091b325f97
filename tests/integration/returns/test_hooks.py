"""Providers report what came back: what they have signed lands at its delivery, and nothing else does."""

import hmac
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from caravan.channels.sandbox import Sandbox
from caravan.errors import InvalidSetting
from caravan.returns.hooks import Hooks
from caravan.settings import Settings
from tests.integration.conftest import open_house, working
from tests.integration.journeys_for_tests import MAIL, contacts
from tests.integration.returns.conftest import Sent
from tests.integration.returns.sns import TOPIC, StandIn

SENDGRID = ec.generate_private_key(ec.SECP256R1())
SENDGRID_KEY = b64encode(SENDGRID.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
SECRET = "key-3ax6xnjp29jd6fds4gc373sgvjxteol0"
POSTMARK = {"Authorization": "Basic " + b64encode(b"caravan:open sesame").decode()}


@dataclass(slots=True)
class Provided:
    """A batch that was sent, and the hooks of all providers."""

    sent: Sent
    http: httpx.AsyncClient
    hooks: Hooks

    async def post(self, provider: str, body: object, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post(f"/returns/{provider}", content=content, headers=headers)

    @property
    def key(self) -> str:
        """The delivery key of the first mail."""
        head = self.sent.mails[0].content.partition(b"Message-ID: <")[2]
        return head.partition(b"@")[0].decode()


@pytest.fixture
async def provided(settings: Settings, sandbox: Sandbox) -> AsyncIterator[Provided]:
    update = {
        "smtp_url": sandbox.url,
        "ses_topics": f"{TOPIC}, arn:aws:sns:us-east-1:123456789012:other",
        "postmark_password": "open sesame",
        "sendgrid_key": SENDGRID_KEY,
        "mailgun_secret": SECRET,
    }
    async with open_house(settings.model_copy(update=update), sandbox) as system, working(system):
        await system.publish(MAIL)
        batch = await system.start(contacts(2))
        await system.ended(batch)
        mails = sorted(sandbox.mails, key=lambda mail: mail.recipients[0])
        transport = system.http._transport
        assert isinstance(transport, httpx.ASGITransport)
        async with httpx.AsyncClient(transport=transport, base_url="http://caravan.test") as http:
            yield Provided(Sent(system, batch, mails, 0), http, transport.app.state.hooks)  # type: ignore[attr-defined]


async def test_the_headers_that_providers_need_are_in_the_mail_only_where_they_are_set_up(provided: Provided) -> None:
    content = provided.sent.mails[0].content.decode()
    assert f"X-PM-Metadata-delivery: {provided.key}\r\n" in content
    assert 'X-SMTPAPI: {"unique_args": {"delivery": "' + provided.key + '"}}\r\n' in content


# Amazon SES


def _ses(kind: str, key: str, **said: Any) -> dict[str, Any]:
    headers = [{"name": "From", "value": "shop@example.com"}, {"name": "Message-ID", "value": f"<{key}@example.com>"}]
    mail = {"messageId": "010001-ses-own", "source": "shop@example.com", "headers": headers}
    return {"notificationType": kind, "mail": mail, kind.lower(): said}


HARD = {
    "bounceType": "Permanent",
    "bounceSubType": "General",
    "bouncedRecipients": [{"emailAddress": "x@y", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 unknown"}],
}


@pytest.fixture
async def sns(provided: Provided, tmp_path: Path) -> AsyncIterator[StandIn]:
    async with StandIn(tmp_path) as stand_in:
        assert provided.hooks.sns is not None
        provided.hooks.sns._client = stand_in.client
        yield stand_in


async def test_events_of_ses_are_taken_with_both_signatures(provided: Provided, sns: StandIn) -> None:
    for version in ("1", "2"):  # the certificate is fetched once, and the event counts once
        answer = await provided.post("ses", sns.notification(_ses("Bounce", provided.key, **HARD), version))
        assert answer.status_code == 200, answer.text
    assert sns.asked == ["/SimpleNotificationService-01.pem"]
    address = provided.sent.mails[0].recipients[0]
    assert await provided.sent.stops() == [(address, "hard_bounce", "email:ses")]
    assert await provided.sent.counts() == {"bounced": 1}
    await provided.post("ses", sns.notification(_ses("Complaint", provided.key, complaintFeedbackType="abuse")))
    await provided.post("ses", sns.notification(_ses("Delivery", provided.key)))
    assert await provided.sent.counts() == {"bounced": 1, "complained": 1, "delivered": 1}
    assert len(await provided.sent.stops()) == 2


async def test_an_out_of_office_answer_that_ses_calls_a_bounce_is_none(provided: Provided, sns: StandIn) -> None:
    said = {"bounceType": "Transient", "bounceSubType": "General", "bouncedRecipients": [{"emailAddress": "x@y"}]}
    assert (await provided.post("ses", sns.notification(_ses("Bounce", provided.key, **said)))).status_code == 200
    assert await provided.sent.untouched()


async def test_a_subscription_is_confirmed_only_for_a_topic_of_ours(provided: Provided, sns: StandIn) -> None:
    url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    values = {"Token": "t", "SubscribeURL": url, "Message": "You have chosen to subscribe"}
    other = sns.message("SubscriptionConfirmation", **values, TopicArn=TOPIC.replace("caravan", "evil"))
    answer = await provided.post("ses", other)
    assert answer.status_code == 403 and "CARAVAN_SES_TOPICS" in answer.text
    assert sns.asked == []
    away = sns.message("SubscriptionConfirmation", **{**values, "SubscribeURL": "https://evil.example.com/"})
    assert (await provided.post("ses", away)).status_code == 403
    assert (await provided.post("ses", sns.message("SubscriptionConfirmation", **values))).status_code == 200
    assert sns.asked[-1] == "/?Action=ConfirmSubscription&Token=t"


ALTERED: list[dict[str, str]] = [
    {"Signature": b64encode(b"x" * 256).decode()},
    {"Signature": "no base64 \0"},
    {"SignatureVersion": "3"},
    {"Timestamp": "2026-11-26T07:00:00.001Z"},
    {"Message": '{"notificationType": "Bounce"}'},
    {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com.evil.test/a.pem"},
    {"SigningCertURL": "http://sns.eu-west-1.amazonaws.com/a.pem"},
    {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com@evil.test/a.pem"},
    {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com:8443/a.pem"},
    {"SigningCertURL": "https://sns.us-east-1.amazonaws.com/a.pem"},
    {"SigningCertURL": "https://s3.eu-west-1.amazonaws.com/a.pem"},
    {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/?x=a"},
    {"SigningCertURL": "https://[\r\n"},
    {"TopicArn": "arn:aws:sns:us-east-1:123456789012:other"},
]


async def test_what_amazon_has_not_signed_is_refused(provided: Provided, sns: StandIn) -> None:
    for change in ALTERED:
        message = sns.notification(_ses("Bounce", provided.key, **HARD)) | change
        answer = await provided.post("ses", message)
        assert answer.status_code == 403 and answer.json()["detail"].endswith("."), change
    assert await provided.sent.untouched()


async def test_a_certificate_of_another_host_is_not_believed(provided: Provided, tmp_path: Path) -> None:
    assert provided.hooks.sns is not None
    async with StandIn(tmp_path, host="sns.evil.test") as impostor:
        provided.hooks.sns._client = impostor.client
        answer = await provided.post("ses", impostor.notification(_ses("Bounce", provided.key, **HARD)))
    assert answer.status_code == 503
    assert await provided.sent.untouched()


# Postmark


def _postmark(record: str, key: str, kind: str = "HardBounce") -> dict[str, Any]:
    said = "smtp;550 5.1.1 unknown user"
    return {"RecordType": record, "Type": kind, "MessageID": "883", "Details": said, "Metadata": {"delivery": key}}


async def test_webhooks_of_postmark_are_taken_with_the_password_alone(provided: Provided) -> None:
    body = _postmark("Bounce", provided.key)
    wrong = {"Authorization": "Basic " + b64encode(b"caravan:open sesam").decode()}
    for headers in ({}, wrong, {"Authorization": "Basic %%%"}, {"Authorization": "Bearer open sesame"}):
        assert (await provided.post("postmark", body, **headers)).status_code == 403
    assert await provided.sent.untouched()
    for each in (body, body, _postmark("Delivery", provided.key), _postmark("Bounce", provided.key, "AutoResponder")):
        assert (await provided.post("postmark", each, **POSTMARK)).status_code == 200
    assert await provided.sent.counts() == {"bounced": 1, "delivered": 1}
    await provided.post("postmark", _postmark("SpamComplaint", provided.key), **POSTMARK)
    assert [reason for _, reason, _ in await provided.sent.stops()] == ["hard_bounce", "complaint"]


# SendGrid


def _signed(body: bytes, timestamp: str = "1771000000") -> dict[str, str]:
    signature = SENDGRID.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
    return {
        "X-Twilio-Email-Event-Webhook-Signature": b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }


async def test_events_of_sendgrid_are_taken_with_its_signature_alone(provided: Provided) -> None:
    second = provided.sent.mails[1].content.partition(b"Message-ID: <")[2].partition(b"@")[0].decode()
    body = json.dumps(
        [
            {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 unknown", "delivery": provided.key},
            {"event": "bounce", "type": "blocked", "status": "5.7.1", "reason": "550 blocked", "delivery": second},
            {"event": "delivered", "smtp-id": f"<{second}@example.com>", "timestamp": 1771000000},
            {"event": "open", "delivery": second},
            {"event": "spamreport", "delivery": second},
            "what?",
        ]
    ).encode()
    good = _signed(body)
    for headers in ({}, {**good, "X-Twilio-Email-Event-Webhook-Timestamp": "1771000001"}, _signed(body + b" ")):
        assert (await provided.post("sendgrid", body, **headers)).status_code == 403
    assert await provided.sent.untouched()
    for _ in range(2):
        assert (await provided.post("sendgrid", body, **good)).status_code == 200
    assert await provided.sent.counts() == {"bounced": 2, "delivered": 1, "complained": 1}
    first, other = (mail.recipients[0] for mail in provided.sent.mails)
    stops = [(address, reason) for address, reason, _ in await provided.sent.stops()]
    assert sorted(stops) == [(first, "hard_bounce"), (other, "complaint")]


# Mailgun


def _mailgun(key: str, token: str, at: float | None = None, **data: Any) -> dict[str, Any]:
    timestamp = str(int(time.time() if at is None else at))
    signature = hmac.digest(SECRET.encode(), (timestamp + token).encode(), "sha256").hex()
    event = {"event": "failed", "severity": "permanent", "message": {"headers": {"message-id": f"{key}@example.com"}}}
    status = {"code": 550, "message": "5.1.1 user unknown"}
    return {
        "signature": {"timestamp": timestamp, "token": token, "signature": signature},
        "event-data": {**event, "delivery-status": status, **data},
    }


async def test_webhooks_of_mailgun_are_taken_once_each(provided: Provided) -> None:
    assert (await provided.post("mailgun", _mailgun(provided.key, "t1", event="delivered"))).status_code == 200
    again = await provided.post("mailgun", _mailgun(provided.key, "t1"))  # a known token, with another event
    assert again.status_code == 409
    assert await provided.sent.counts() == {"delivered": 1}
    assert (await provided.post("mailgun", _mailgun(provided.key, "t2"))).status_code == 200
    assert (await provided.post("mailgun", _mailgun(provided.key, "t3", severity="temporary"))).status_code == 200
    assert (await provided.post("mailgun", _mailgun(provided.key, "t4", event="complained"))).status_code == 200
    assert await provided.sent.counts() == {"delivered": 1, "bounced": 1, "complained": 1}
    assert [reason for _, reason, _ in await provided.sent.stops()] == ["hard_bounce", "complaint"]


async def test_webhooks_that_mailgun_has_not_signed_of_late_are_refused(provided: Provided) -> None:
    forged = _mailgun(provided.key, "t1")
    forged["signature"]["signature"] = "0" * 64
    later = _mailgun(provided.key, "t1")
    later["signature"]["token"] = "t2"
    old, ahead = (_mailgun(provided.key, "t1", time.time() + hours * 3600) for hours in (-13, 13))
    bad = [forged, later, old, ahead, {"signature": "x", "event-data": []}, {}]
    for body in bad:
        answer = await provided.post("mailgun", body)
        assert answer.status_code == 403, body
    assert await provided.sent.untouched()


# All of them


async def test_junk_gets_a_sentence_and_changes_nothing(provided: Provided) -> None:
    bodies = [b"", b"\0", b"[]", b"{}", b'"x"', b"[" * 100_000, b'{"Type": 1}', b"\xff\xfe", b"x" * (5 << 20)]
    for provider, body in product(("ses", "postmark", "sendgrid", "mailgun"), bodies):
        headers = {**POSTMARK, **_signed(body)}
        answer = await provided.post(provider, body, **headers)
        if answer.status_code != 200:
            assert 400 <= answer.status_code < 500 and answer.json()["detail"].endswith("."), (body[:20], answer.text)
    assert await provided.sent.untouched()


async def test_a_good_signature_does_not_help_a_forged_key(provided: Provided) -> None:
    key = provided.key[:-1] + ("0" if provided.key[-1] != "0" else "1")
    events: dict[str, Any] = {
        "postmark": _postmark("Bounce", key),
        "sendgrid": [{"event": "bounce", "type": "bounce", "status": "5.1.1", "delivery": key}],
        "mailgun": _mailgun(key, "t1"),
    }
    for provider, event in events.items():
        body = json.dumps(event).encode()
        answer = await provided.post(provider, body, **POSTMARK, **_signed(body))
        assert answer.status_code == 200
    assert await provided.sent.untouched()


async def test_a_provider_that_is_not_set_up_is_told_so(idle_system: Any) -> None:
    for provider, setting in (("ses", "SES_TOPICS"), ("mailgun", "MAILGUN_SECRET"), ("sendgrid", "SENDGRID_KEY")):
        answer = await idle_system.http.post(f"/returns/{provider}", content=b"{}")
        assert answer.status_code == 404 and f"CARAVAN_{setting}" in answer.text


async def test_a_key_of_sendgrid_that_is_none_keeps_the_api_from_starting(settings: Settings, sandbox: Sandbox) -> None:
    with pytest.raises(InvalidSetting, match="CARAVAN_SENDGRID_KEY"):
        async with open_house(settings.model_copy(update={"sendgrid_key": "no key"}), sandbox):
            pass
