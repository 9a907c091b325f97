"""Twilio's Messages API, and the calls that Twilio makes (https://www.twilio.com/docs/messaging/api/message-resource).

Twilio takes no idempotency key for messages, so what was sent without an answer stays unknown; the report that comes
for its delivery key tells what became of it.
"""

import hmac
import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from caravan.channels.http_calls import Answer
from caravan.channels.replies import one_line
from caravan.channels.sms.gateway import Request
from caravan.channels.sms.numbers import check_sender
from caravan.channels.sms.returned import Fate, Posted, Reply, Report
from caravan.channels.sms.rules import Meaning, fate_of, load_rules, meaning_of, result_of
from caravan.channels.sms.secrets import is_reference, look_up
from caravan.channels.sms.text import Text
from caravan.delivery.result import SendResult
from caravan.errors import InvalidSetting, RenderFailed

RULES: Final = "twilio.yaml"
_SHAPE: Final = "twilio://ACCOUNT_SID:AUTH_TOKEN@api.twilio.com?service=MG… or ?from=+46…"
_ACCOUNT: Final = re.compile(r"AC[0-9a-fA-F]{32}", re.ASCII)
_SERVICE: Final = re.compile(r"MG[0-9a-fA-F]{32}", re.ASCII)
_OPTIONS: Final = ("from", "service", "account", "token", "auth_token", "api")
_FATES: Final = {"delivered": Fate.DELIVERED, "read": Fate.DELIVERED}
_FAILED: Final = ("undelivered", "failed")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Twilio:
    """One Twilio account. `user` and `password` are its SID and auth token, or an API key and its secret;
    `reports_url` is where it is told to report, with a slash at its end; None: nowhere."""

    account: str
    user: str
    password: str
    auth_token: str | None  # signs the calls that Twilio makes; None where only an API key is known
    sender: str | None
    service: str | None
    api: str
    reports_url: str | None = None

    @classmethod
    def of(cls, url: str, reports_url: str | None = None) -> Self:
        """Read CARAVAN_SMS_URL. Raises `InvalidSetting`, without the secrets in it."""
        try:
            parts = urlsplit(url)
            # A + stands in numbers, and is no blank here.
            options = dict(parse_qsl(parts.query.replace("+", "%2B"), strict_parsing=bool(parts.query)))
            user, host = unquote(parts.username or ""), parts.hostname
            written = options.get("token") or unquote(parts.password or "")
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            raise InvalidSetting(f"CARAVAN_SMS_URL can't be read; it looks like {_SHAPE}.") from None
        for name in options:
            if name not in _OPTIONS:
                raise InvalidSetting(f"CARAVAN_SMS_URL has no option '{name}'; there are {', '.join(_OPTIONS)}.")
        account = options.get("account", user)
        if not user or not written or not host or parts.path.strip("/") or not _ACCOUNT.fullmatch(account):
            raise InvalidSetting(
                f"CARAVAN_SMS_URL must be like {_SHAPE}; with an API key instead of the SID, &account=AC… names the "
                "account."
            )
        password = _secret(written, "token of Twilio")
        signing = _secret(options["auth_token"], "auth token of Twilio") if "auth_token" in options else None
        return cls(
            account=account,
            user=user,
            password=password,
            auth_token=signing or (password if user == account else None),
            sender=_sender(options.get("from")),
            service=_service(options.get("service")),
            api=options.get("api", f"https://{host}{port}").rstrip("/"),
            reports_url=reports_url,
        )

    @property
    def name(self) -> str:
        """See `Gateway.name`."""
        return "twilio"

    @property
    def place(self) -> str:
        """See `Gateway.place`."""
        return f"Twilio, account {self.account[:6]}…{self.account[-4:]}"

    @property
    def secrets(self) -> Sequence[str]:
        """See `Gateway.secrets`."""
        login = b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")
        return [login, self.password, *([self.auth_token] if self.auth_token else [])]

    def request(self, text: Text) -> Request:
        """See `Gateway.request`."""
        form = {"To": text.number, "Body": text.text}
        if sender := text.sender or self.sender:
            form["From"] = sender
        elif self.service:
            form["MessagingServiceSid"] = self.service
        else:
            raise InvalidSetting("it has no sender; give CARAVAN_SMS_URL a ?from= or ?service=, or the step a `from`.")
        if self.reports_url is not None:
            form["StatusCallback"] = f"{self.reports_url}{text.key}"
        login = b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self.api}/2010-04-01/Accounts/{self.account}/Messages.json"
        return Request("POST", url, headers, urlencode(form, quote_via=quote).encode("ascii"))

    def meaning(self, answer: Answer, now: datetime) -> SendResult:
        """See `Gateway.meaning`."""
        said = _object(answer.beginning)
        code = str(said.get("code") or said.get("error_code") or "")
        found = meaning_of(load_rules(RULES), answer.status, code)
        if found is Meaning.SENT:
            return result_of(found, f"{said.get('sid', answer.status)} {said.get('status', '')}".strip(), answer, now)
        words = str(said.get("message") or answer.beginning.decode("utf-8", "replace"))
        return result_of(found, one_line(f"{answer.status} {code} {words}".replace("  ", " ")), answer, now)

    def verified(self, posted: Posted, now: datetime) -> bool:
        """See `Gateway.verified`: https://www.twilio.com/docs/usage/security#validating-requests."""
        given = posted.headers.get("x-twilio-signature", "")
        if not given or self.auth_token is None:
            return False
        fields = "".join(f"{name}{value}" for name, value in sorted(set(posted.fields)))
        expected = [_signature(self.auth_token, f"{url}{fields}") for url in _with_ports(posted.url)]
        return any(hmac.compare_digest(given.encode("utf-8", "replace"), each) for each in expected)

    def reports(self, posted: Posted) -> list[Report]:
        """See `Gateway.reports`; a status on the way says nothing yet."""
        said = dict(posted.fields)
        status, code = said.get("MessageStatus") or said.get("SmsStatus") or "", said.get("ErrorCode", "")
        fate = _FATES.get(status)
        if status in _FAILED:
            fate = fate_of(load_rules(RULES), code)
        if fate is None:
            return []
        id, number = said.get("MessageSid") or said.get("SmsSid") or "", said.get("To", "")
        return [Report(fate, None, f"{status} {code}".strip(), id, number)]

    def replies(self, posted: Posted) -> list[Reply]:
        """See `Gateway.replies`."""
        said = dict(posted.fields)
        id = said.get("MessageSid") or said.get("SmsSid") or ""
        return [Reply(said.get("From", ""), said.get("To", ""), said.get("Body", ""), id)]


def _secret(text: str, what: str) -> str:
    return look_up(text, what) if is_reference(text) else text


def _sender(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return check_sender(text)
    except RenderFailed as error:
        raise InvalidSetting(f"CARAVAN_SMS_URL: {error.message}") from None


def _service(text: str | None) -> str | None:
    if text is not None and not _SERVICE.fullmatch(text):
        raise InvalidSetting("CARAVAN_SMS_URL: a messaging service is MG and 32 hexadecimal digits.")
    return text


def _signature(token: str, signed: str) -> bytes:
    return b64encode(hmac.digest(token.encode(), signed.encode("utf-8", "replace"), "sha1"))


def _with_ports(url: str) -> Iterator[str]:
    """The URL as it is, and with or without its scheme's own port: Twilio signs it in either way."""
    yield url
    parts = urlsplit(url)
    own, host = _PORTS.get(parts.scheme), parts.netloc
    if own is not None and parts.port is None:
        yield urlunsplit(parts._replace(netloc=f"{host}:{own}"))
    elif own is not None and parts.port == own:
        yield urlunsplit(parts._replace(netloc=host.removesuffix(f":{own}")))


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
