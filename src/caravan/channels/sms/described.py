"""A gateway that a file describes: its requests are templates, and its answers are read by JSONPath."""

import hmac
import json
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

from caravan.channels.http_calls import Answer
from caravan.channels.replies import one_line
from caravan.channels.sms.gateway import Request
from caravan.channels.sms.gateway_file import GatewayFile, paths_in
from caravan.channels.sms.returned import Fate, Posted, Reply, Report
from caravan.channels.sms.rules import Meaning, Rule, fate_of, meaning_of, result_of
from caravan.channels.sms.secrets import look_up
from caravan.channels.sms.text import Text
from caravan.channels.webhook_signing import PREFIX, SIGNATURE_HEADERS, signature_headers
from caravan.delivery.result import SendResult
from caravan.errors import InvalidInput, InvalidSetting
from caravan.journeys.placeholders import ContactView, Template, compile_template

_TOLERANCE: Final = 300  # seconds between a signature and its arrival (Standard Webhooks 1.0)
_MOST: Final = 1_000  # reports or replies in one call
_SHOWN: Final = 200  # characters of an answer


@dataclass(frozen=True)
class Described:
    """One gateway. `reports_url` is where it is told to report, with a slash at its end; None: nowhere."""

    file: GatewayFile
    known: Mapping[str, str]  # secrets, by name
    reports_url: str | None = None
    _rules: tuple[Rule, ...] = field(init=False)

    def __post_init__(self) -> None:
        rules = (Rule(each.result, tuple(each.status), frozenset(each.codes)) for each in self.file.rules)
        object.__setattr__(self, "_rules", tuple(rules))

    @classmethod
    def of(cls, file: GatewayFile, reports_url: str | None = None) -> Self:
        """The gateway with its secrets. Raises `InvalidSetting` if one is not there."""
        secrets = {name: look_up(each, f"secret '{name}' of the SMS gateway") for name, each in file.secrets.items()}
        made = cls(file, secrets, reports_url)
        if file.verify is not None and file.verify.standard_webhooks is not None:
            made._signing_secrets()
        return made

    @property
    def name(self) -> str:
        """See `Gateway.name`."""
        return self.file.name

    @property
    def place(self) -> str:
        """See `Gateway.place`."""
        fixed = self.file.url.partition("{")[0]
        return f"{self.file.name} at {urlsplit(fixed).hostname or 'an address of its own'}"

    @property
    def secrets(self) -> Sequence[str]:
        """See `Gateway.secrets`."""
        return list(self.known.values())

    def request(self, text: Text) -> Request:
        """See `Gateway.request`."""
        values = {
            "to": text.number,
            "from": text.sender or self.file.sender or "",
            "text": text.text,
            "key": text.key,
            "segments": text.size.segments,
            "encoding": text.size.encoding,
            "report_url": self._report_url(text.key),
            "secrets": dict(self.known),
        }
        seen = ContactView("", values)
        headers = {name: template.render(seen) for name, template in self._headers.items()}
        body = self._body.render(seen).encode("utf-8", "replace")
        return Request(self.file.method, self._url.render(seen), headers, body)

    def meaning(self, answer: Answer, now: datetime) -> SendResult:
        """See `Gateway.meaning`."""
        said = _json(answer.beginning)
        shown = one_line(answer.beginning.decode("utf-8", "replace"), _SHOWN)
        code = _first(said, self.file.error.code)
        if self._taken(answer.status, said):
            id = _first(said, self.file.sent.id)
            return result_of(Meaning.SENT, id or f"{answer.status} {shown}".strip(), answer, now)
        found = meaning_of(self._rules, answer.status, code)
        if found is Meaning.SENT and self.file.sent.where:
            found = Meaning.FAIL  # its status is good, and what it says is not
        words = _first(said, self.file.error.text) or shown
        return result_of(found, " ".join(filter(None, [str(answer.status), code, words])), answer, now)

    def verified(self, posted: Posted, now: datetime) -> bool:
        """See `Gateway.verified`."""
        verify = self.file.verify
        if verify is None:
            return False
        if verify.standard_webhooks is not None:
            return self._signed(posted, now)
        given = posted.headers.get(verify.header.lower()) if verify.header else posted.query.get(verify.query or "")
        secret = self.known[verify.secret or ""]
        return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())

    def reports(self, posted: Posted) -> list[Report]:
        """See `Gateway.reports`."""
        wanted = self.file.reports
        if wanted is None:
            raise InvalidInput("The file of the SMS gateway has no reports.")
        return [found for each in _each(posted, wanted.each) if (found := self._report(each)) is not None]

    def replies(self, posted: Posted) -> list[Reply]:
        """See `Gateway.replies`."""
        wanted = self.file.replies
        if wanted is None:
            raise InvalidInput("The file of the SMS gateway has no replies.")
        return [
            Reply(
                _first(each, wanted.sender), _first(each, wanted.to), _first(each, wanted.text), _first(each, wanted.id)
            )
            for each in _each(posted, wanted.each)
        ]

    def _report(self, said: Any) -> Report | None:
        wanted = self.file.reports
        assert wanted is not None
        status, code = _first(said, wanted.status), _first(said, wanted.code)
        if status in wanted.delivered:
            fate = Fate.DELIVERED
        elif status in wanted.failed:
            fate = fate_of(self._rules, code or status)
        else:
            return None  # it is still on its way
        return Report(fate, _first(said, wanted.key) or None, f"{status} {code}".strip(), _first(said, wanted.id))

    def _taken(self, status: int, said: Any) -> bool:
        wanted = self.file.sent
        by_status = any(Rule(Meaning.SENT, (each,)).fits(status, "") for each in wanted.status)
        return by_status and all(_first(said, path) in values for path, values in wanted.where.items())

    def _report_url(self, key: str) -> str:
        if self.reports_url is None:
            return ""
        verify = self.file.verify
        if verify is None or verify.query is None:
            return f"{self.reports_url}{key}"
        return f"{self.reports_url}{key}?{quote(verify.query)}={quote(self.known[verify.secret or ''], safe='')}"

    def _signed(self, posted: Posted, now: datetime) -> bool:
        id, timestamp, given = (posted.headers.get(name, "") for name in SIGNATURE_HEADERS)
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 15):
            return False
        if abs(now.timestamp() - int(timestamp)) > _TOLERANCE:
            return False
        expected = signature_headers(self._signing_secrets(), id, int(timestamp), posted.body)[SIGNATURE_HEADERS[2]]
        octets = [each.encode("utf-8", "replace") for each in given.split()]
        return any(hmac.compare_digest(each, good.encode()) for each in octets for good in expected.split())

    def _signing_secrets(self) -> list[bytes]:
        """The octets of the secrets that sign. Raises `InvalidSetting`."""
        verify = self.file.verify
        assert verify is not None and verify.standard_webhooks is not None
        try:
            written = self.known[verify.standard_webhooks].replace(",", " ").split()
            return [b64decode(each.removeprefix(PREFIX), validate=True) for each in written]
        except NoBase64:
            name = verify.standard_webhooks
            raise InvalidSetting(f"The secret '{name}' of the SMS gateway should be whsec_ and Base64.") from None

    @cached_property
    def _url(self) -> Template:
        return compile_template(self.file.url)

    @cached_property
    def _body(self) -> Template:
        return compile_template(self.file.body)

    @cached_property
    def _headers(self) -> dict[str, Template]:
        return {name: compile_template(text) for name, text in self.file.headers.items()}


def _each(posted: Posted, path: str | None) -> list[Any]:
    found = [posted.content] if path is None else paths_in(posted.content, path)
    if len(found) > _MOST:
        raise InvalidInput(f"One call brings at most {_MOST:,} messages.")
    return found


def _first(said: Any, path: str | None) -> str:
    """The first value at a path, as text; nothing for none."""
    found = paths_in(said, path)
    value = found[0] if found else None
    if value is None or isinstance(value, dict | list):
        return ""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
