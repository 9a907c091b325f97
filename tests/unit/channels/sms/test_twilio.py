"""Twilio: its address in the settings, its requests, its answers, and its signature."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode

import pytest

from caravan.channels.http_calls import Answer
from caravan.channels.sms.returned import Fate, Posted
from caravan.channels.sms.twilio import Twilio
from caravan.delivery.result import Result
from caravan.errors import InvalidSetting
from tests.unit.channels.sms.gateways import ACCOUNT, REPORTS, TOKEN, message, twilio

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = "SK0123456789abcdef0123456789abcdef"
SERVICE = "MG0123456789abcdef0123456789abcdef"


def answer(status: int, body: str, **headers: str) -> Answer:
    from multidict import CIMultiDict, CIMultiDictProxy

    return Answer(status, CIMultiDictProxy(CIMultiDict(headers)), body.encode())


def test_an_account_is_read_from_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = Twilio.of(f"twilio://{ACCOUNT}:{TOKEN}@api.twilio.com?from=+46 70 123 45 67")
    assert (found.user, found.password, found.auth_token) == (ACCOUNT, TOKEN, TOKEN)
    assert (found.sender, found.api) == ("+46701234567", "https://api.twilio.com")
    monkeypatch.setenv("TWILIO_TOKEN", "from-env")
    (tmp_path / "auth").write_text("from-file\n")
    url = f"twilio://{KEY}:env:TWILIO_TOKEN@api.twilio.com?account={ACCOUNT}&service={SERVICE}"
    found = Twilio.of(f"{url}&auth_token=file:{tmp_path}/auth")
    assert (found.account, found.password, found.auth_token) == (ACCOUNT, "from-env", "from-file")
    assert Twilio.of(url).auth_token is None, "an API key's secret signs nothing"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("twilio://", "must be like twilio://ACCOUNT_SID"),
        (f"twilio://{ACCOUNT}@api.twilio.com", "must be like"),
        (f"twilio://{KEY}:s3cr3t@api.twilio.com", "account=AC… names the account"),
        (f"twilio://{ACCOUNT}:s3cr3t@api.twilio.com?frm=1", "has no option 'frm'; there are from, service"),
        (f"twilio://{ACCOUNT}:s3cr3t@api.twilio.com?from=A very long name", "`from` is"),
        (f"twilio://{ACCOUNT}:s3cr3t@api.twilio.com?service=AB", "a messaging service is MG and 32"),
        (f"twilio://{ACCOUNT}:s3cr3t@api.twilio.com:99999", "can't be read"),
        (f"twilio://{ACCOUNT}:env:NO_SUCH_VARIABLE@api.twilio.com", "the variable NO_SUCH_VARIABLE is not set"),
    ],
)
def test_settings_that_can_not_be_used(url: str, sentence: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        Twilio.of(url)
    assert sentence in refused.value.message
    assert "s3cr3t" not in refused.value.message


def test_a_request_has_the_sender_of_the_step_else_of_the_setting() -> None:
    service = Twilio.of(f"twilio://{ACCOUNT}:{TOKEN}@api.twilio.com?service={SERVICE}", REPORTS)
    from dataclasses import replace

    form = parse_qs(service.request(message("a+b & c\n€")).body.decode())
    assert form == {
        "To": ["+46701234567"], "Body": ["a+b & c\n€"], "MessagingServiceSid": [SERVICE],
        "StatusCallback": [f"{REPORTS}k1"],
    }  # fmt: skip
    own = parse_qs(service.request(replace(message("Hi"), sender="Shop")).body.decode())
    assert own["From"] == ["Shop"]
    assert "MessagingServiceSid" not in own
    with pytest.raises(InvalidSetting, match="it has no sender"):
        Twilio.of(f"twilio://{ACCOUNT}:{TOKEN}@api.twilio.com").request(message("Hi"))


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (201, '{"sid": "SM1", "status": "queued", "error_code": null}', Result.SENT),
        (400, '{"code": 21211, "message": "no"}', Result.FAILED),
        (400, '{"code": 21635}', Result.UNSUPPORTED),
        (400, '{"code": 21606}', Result.UNREACHABLE),
        (429, '{"code": 20429}', Result.RETRY),
        (401, '{"code": 20003}', Result.UNREACHABLE),
        (503, "", Result.RETRY),
        (500, '{"code": 20500}', Result.UNKNOWN),
        (502, "<html>", Result.UNKNOWN),
        (404, "[1]", Result.FAILED),
        (302, "", Result.FAILED),
    ],
)
def test_answers_and_their_meaning(status: int, body: str, result: Result) -> None:
    assert twilio("http://x").meaning(answer(status, body), NOW).result is result


def test_a_wait_that_is_asked_for_is_kept() -> None:
    found = twilio("http://x").meaning(answer(429, '{"code": 20429}', **{"Retry-After": "7"}), NOW)
    assert (found.retry_after, found.busy) == (7, True)


def test_the_signature_is_that_of_twilios_own_example() -> None:
    """The vector that Twilio's libraries are tested with."""
    fields = {
        "CallSid": "CA1234567890ABCDE", "Digits": "1234", "From": "+14158675309",
        "To": "+18005551212", "Caller": "+14158675309",
    }  # fmt: skip
    gateway = Twilio(ACCOUNT, ACCOUNT, "12345", "12345", None, None, "https://x")
    body = urlencode(fields).encode()

    def verified(url: str, signature: str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=", content: bytes = body) -> bool:
        return gateway.verified(Posted(url, {"x-twilio-signature": signature}, {}, content), NOW)

    assert verified("https://mycompany.com/myapp.php?foo=1&bar=2")
    assert verified("https://mycompany.com:443/myapp.php?foo=1&bar=2"), "signed without the scheme's own port"
    assert not verified("http://mycompany.com/myapp.php?foo=1&bar=2")
    assert not verified("https://mycompany.com/myapp.php?foo=1&bar=2", content=body + b"&Extra=1")
    assert not verified("https://mycompany.com/myapp.php?foo=1&bar=2", "")
    assert not verified("https://mycompany.com/myapp.php?foo=1&bar=2", "\xff")


@pytest.mark.parametrize(
    ("fields", "fate"),
    [
        ({"MessageStatus": "sent"}, None),
        ({"MessageStatus": "delivered"}, Fate.DELIVERED),
        ({"MessageStatus": "undelivered", "ErrorCode": "30003"}, Fate.UNDELIVERED),
        ({"MessageStatus": "undelivered", "ErrorCode": "30005"}, Fate.DEAD),
        ({"MessageStatus": "failed", "ErrorCode": "30006"}, Fate.DEAD),
        ({"MessageStatus": "failed", "ErrorCode": "21610"}, Fate.STOPPED),
        ({"MessageStatus": "failed"}, Fate.UNDELIVERED),
    ],
)
def test_reports(fields: dict[str, str], fate: Fate | None) -> None:
    found = twilio("http://x").reports(Posted("", {}, {}, urlencode(fields).encode()))
    assert [each.fate for each in found] == ([] if fate is None else [fate])
