"""The file of a gateway is checked whole, and its secrets are never shown."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from caravan.channels.sms.described import Described
from caravan.channels.sms.gateway import SmsChannel
from caravan.channels.sms.gateway_file import GatewayFile, read_gateway_file
from caravan.channels.sms.returned import Posted
from caravan.delivery.result import Result
from caravan.errors import InvalidDefinition, InvalidSetting
from tests.unit.channels.sms.gateways import FakeGateway, message, serving

WRONG = """name: my gateway
url: ftp://example.com
methd: POST
headers:
  Content-Length: "3"
body: '{"to": {{ number | jsn }}}'
secrets:
  key: abc123
sent: {status: [2000]}
rules:
  - {result: sometimes}
"""
LATER = """name: example
url: "https://example.com/{{ phone }}"
headers:
  Host: x
  Authorization: "Bearer {{ secrets.kye }}"
secrets: {key: "env:EXAMPLE_KEY"}
rules:
  - {result: fail}
  - {result: retry, codes: [1]}
reports: {status: $.s, delivered: [ok], failed: [no]}
"""


def problems(source: str) -> list[str]:
    with pytest.raises(InvalidDefinition) as refused:
        GatewayFile.parse(source)
    return [str(each) for each in refused.value.problems]


def test_every_problem_has_its_line() -> None:
    told = "\n".join(problems(WRONG))
    for sentence in (
        "line 1: name: a gateway's name is a word",
        "line 2: url: a gateway's url begins with https:// or http://",
        "line 3: methd: unknown key 'methd'; did you mean 'method'? The keys here are name, url",
        "line 6: body: there is no filter jsn; did you mean json?",
        "line 8: secrets.key: a secret stands here as env:NAME or file:/path, and never itself",
        "line 9: sent.status[0]: a status is three digits, with x for any: 200, 2xx",
        "line 11: rules[0].result: input should be 'sent', 'retry', 'slow_down'",
    ):
        assert sentence in told, sentence
    assert "abc123" not in told


def test_what_does_not_fit_together_is_told_too() -> None:
    told = "\n".join(problems(LATER))
    for sentence in (
        "line 2: url: there is no {{ phone }} here; there are to, from, text, key",
        "line 4: headers.Host: the header 'Host' is set by Caravan itself",
        "line 5: headers.Authorization: there is no secret 'kye'",
        "line 8: rules[0]: a rule has status or codes, or both",
        "line 9: rules[1].codes: codes are looked for where error.code leads, which is missing",
        "line 10: reports: what comes in must be known to be the gateway's: say how at verify",
    ):
        assert sentence in told, sentence


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("", "the file is empty; a gateway has a name and a url"),
        ("- a", "line 1: a gateway has the keys name, url, method"),
        ("name: {{ x", "line 2: this is not valid YAML"),
        ("a: 1\n---\nb: 2", "one file is one gateway"),
        ("name: x\nurl: https://e.com\nverify: {header: X}", "line 3: verify: secret is missing"),
        ("name: x\nurl: https://e.com\nverify: {header: X, query: y}", "line 3: verify: exactly one of"),
        ("name: x\nurl: https://e.com\nverify: {query: y, secret: z}", "there is no secret 'z' below secrets"),
        ("name: x\nurl: https://e.com\nreports: {status: '$[?@.a]', delivered: [a], failed: [b]}", "without filters"),
    ],
)
def test_files_that_are_none(source: str, sentence: str) -> None:
    assert sentence in "\n".join(problems(source))


def test_a_setting_names_the_file_and_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "sms.yaml"
    with pytest.raises(InvalidSetting, match="can't be read"):
        read_gateway_file(path)
    path.write_text("name: x\nurl: nowhere\n")
    with pytest.raises(InvalidSetting, match=r"sms.yaml, has 1 problem: line 2: url: a gateway's url begins"):
        read_gateway_file(path)


def test_a_secret_that_is_missing_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = GatewayFile.parse("name: x\nurl: https://e.com\nsecrets: {key: 'env:NO_SUCH', other: 'file:/no/such'}")
    with pytest.raises(InvalidSetting, match="The secret 'key' of the SMS gateway is not there: the variable NO_SUCH"):
        Described.of(file)
    monkeypatch.setenv("NO_SUCH", "x")
    with pytest.raises(InvalidSetting, match=r"the file /no/such can't be read"):
        Described.of(file)


async def test_a_secret_in_an_answer_and_in_the_conversation_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_KEY", "s3cr3t-value")
    gateway = FakeGateway()
    from aiohttp import web

    gateway.answer = lambda text: web.Response(status=400, text="bad key s3cr3t-value")
    lines: list[str] = []
    async with serving(gateway) as url:
        source = f"""name: x
url: "{url}/send?key={{{{ secrets.key }}}}"
headers: {{X-Key: "{{{{ secrets.key }}}}"}}
body: '{{"text": {{{{ text | json }}}}}}'
secrets: {{key: "env:EXAMPLE_KEY"}}
"""
        described = Described.of(GatewayFile.parse(source))
        async with SmsChannel(described, tell=lambda who, line: lines.append(line)) as channel:
            sent = await channel.send(message("Hello"))
    assert (sent.result, sent.detail) == (Result.FAILED, "400 bad key ***")
    assert gateway.got[0].headers["X-Key"] == "s3cr3t-value"
    assert "s3cr3t-value" not in "\n".join(lines)
    assert "X-Key: ***" in lines


async def test_no_contact_writes_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "name: x\nurl: 'http://127.0.0.1:1/'\nheaders: {X-Text: '{{ text }}'}"
    async with SmsChannel(Described.of(GatewayFile.parse(source))) as channel:
        sent = await channel.send(message("Hello\nX-Evil: 1"))
    assert (sent.result, "line end" in sent.detail) == (Result.FAILED, True)


def test_a_secret_in_the_address_proves_who_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "a b&c")
    source = """name: x
url: "https://e.com/{{ report_url | url_encode }}"
secrets: {hook: "env:HOOK"}
verify: {query: token, secret: hook}
reports: {status: $.s, delivered: [ok], failed: [no]}
"""
    gateway = Described.of(GatewayFile.parse(source), "https://c.example.com/returns/sms/reports/")
    url = gateway.request(message("Hi")).url
    assert "reports%2Fk1%3Ftoken%3Da%2520b%2526c" in url
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert gateway.verified(Posted("", {}, {"token": "a b&c"}, b""), now)
    assert not gateway.verified(Posted("", {}, {"token": "a"}, b""), now)
    assert not gateway.verified(Posted("", {}, {}, b""), now)
