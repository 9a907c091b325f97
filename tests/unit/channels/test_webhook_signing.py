"""Calls are signed as Standard Webhooks says: its own library verifies them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import ValidationError
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from caravan.channels.webhook import Call, WebhookChannel
from caravan.channels.webhook_signing import SecretName, SigningSecrets
from caravan.channels.webhook_step import Webhook
from caravan.delivery.result import Result
from caravan.errors import InvalidSetting

OLD = "whsec_" + "b2xk" * 8
NEW = "whsec_" + "bmV3" * 12
CRM = SecretName(1, "crm")
BODY = '{"who": "Åsa", "n": 1.50}'.encode()


class Hook:
    """A server that remembers what it was asked."""

    url = ""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.calls.append((dict(request.headers), await request.read()))
        return web.Response()


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook, app = Hook(), web.Application()
    app.router.add_post("/", hook.handle)
    async with TestServer(app, host="127.0.0.1", shutdown_timeout=0.01) as server:
        hook.url = f"http://127.0.0.1:{server.port}/"
        yield hook


async def send(hook: Hook, secrets: SigningSecrets, name: SecretName | None = CRM) -> tuple[Result, str]:
    async with WebhookChannel(allow_private=True, timeout=5, secrets=secrets) as channel:
        sent = await channel.send(Call("POST", hook.url, {}, BODY, "k1", name))
    return sent.result, sent.detail


async def test_a_signed_call_is_verified_with_the_secret_and_no_other(hook: Hook) -> None:
    secrets = SigningSecrets(None, {"CARAVAN_WEBHOOK_SECRET_1_CRM": NEW})
    assert (await send(hook, secrets))[0] is Result.SENT
    ((headers, body),) = hook.calls
    assert Verifier(NEW).verify(body, headers) == json.loads(BODY)
    assert headers["webhook-id"] == headers["Idempotency-Key"] == "k1"
    with pytest.raises(WebhookVerificationError):
        Verifier(OLD).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(NEW).verify(body + b" ", headers)


async def test_while_secrets_are_rotated_a_call_is_good_for_each_of_them(hook: Hook) -> None:
    await send(hook, SigningSecrets(None, {"CARAVAN_WEBHOOK_SECRET_1_CRM": f" {NEW}, {OLD}\n"}))
    ((headers, body),) = hook.calls
    assert [each.partition(",")[0] for each in headers["webhook-signature"].split(" ")] == ["v1", "v1"]
    assert Verifier(OLD).verify(body, headers) == Verifier(NEW).verify(body, headers)


async def test_a_secret_is_read_from_the_file_of_its_customer(hook: Hook, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "crm").write_text(f"{NEW}\n{OLD}\n")
    await send(hook, SigningSecrets(tmp_path, {}))
    ((headers, body),) = hook.calls
    assert Verifier(OLD).verify(body, headers)
    with pytest.raises(InvalidSetting):
        SigningSecrets(tmp_path, {}).of(SecretName(2, "crm"))


async def test_without_a_secret_nothing_goes_out_and_the_contact_waits(hook: Hook, tmp_path: Path) -> None:
    result, detail = await send(hook, SigningSecrets(tmp_path, {}))
    assert (result, hook.calls) == (Result.UNREACHABLE, [])
    assert "CARAVAN_WEBHOOK_SECRET_1_CRM" in detail and "1/crm" in detail


@pytest.mark.parametrize(
    "text", ["geheim", "whsec_", "whsec_a2V5", "whsec_???", OLD + " geheim", "whsec_" + "b2xk" * 22]
)
def test_what_is_no_secret_is_refused_and_never_told(text: str) -> None:
    with pytest.raises(InvalidSetting) as refusal:
        SigningSecrets(None, {"CARAVAN_WEBHOOK_SECRET_1_CRM": text}).of(CRM)
    assert not any(word in str(refusal.value) for word in ("geheim", "a2V5", "b2xk"))


async def test_a_call_that_names_no_secret_bears_no_signature(hook: Hook) -> None:
    await send(hook, SigningSecrets(None, {}), None)
    ((headers, _),) = hook.calls
    assert not [name for name in headers if name.lower().startswith("webhook-")]


@pytest.mark.parametrize("name", [NEW, "../crm", "a b", "", "a.b", "x" * 65])
def test_a_step_names_a_secret_and_never_holds_it(name: str) -> None:
    with pytest.raises(ValidationError):
        Webhook.model_validate({"id": "w", "url": "https://example.com", "secret": name})


def test_the_headers_of_the_signature_are_not_to_be_set_where_there_is_one() -> None:
    own = {"id": "w", "url": "https://example.com", "headers": {"Webhook-Id": "x"}}
    assert not list(Webhook.model_validate(own).check())
    assert [where for where, _ in Webhook.model_validate(own | {"secret": "crm"}).check()] == [
        "webhook.headers.Webhook-Id"
    ]
