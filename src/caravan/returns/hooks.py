"""Where providers of mail report what came back: one address each, for POSTs that are signed or bear a password."""

import json
from contextlib import suppress
from typing import Annotated, Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from caravan.engine.engine import Engine
from caravan.errors import Conflict, InvalidInput, NotFound, TooLarge
from caravan.queries.recipient import Recipients
from caravan.returns.providers import mailgun, postmark, sendgrid, ses
from caravan.returns.providers.sns import Sns
from caravan.returns.returned import Returned
from caravan.returns.take import Arrival, take_in
from caravan.store import returns
from caravan.store.database import Connection

T = TypeVar("T")
router = APIRouter(tags=["returns"])
_LARGEST: Final = 4 << 20  # octets of a body


class TakenAnswer(BaseModel):
    """What became of the events of a webhook."""

    taken: int = Field(description="Those that were new, and led to a delivery.")


class Hooks:
    """What the settings say of each provider. Raises `InvalidSetting`."""

    def __init__(self, engine: Engine) -> None:
        settings = engine.settings
        topics = [each.strip() for each in (settings.ses_topics or "").split(",") if each.strip()]
        self.engine = engine
        self.sns = Sns(topics) if topics else None
        self.postmark = settings.postmark_password
        self.sendgrid: EllipticCurvePublicKey | None = (
            sendgrid.read_key(settings.sendgrid_key) if settings.sendgrid_key else None
        )
        self.mailgun = settings.mailgun_secret


def _hooks(request: Request) -> Hooks:
    found: Hooks = request.app.state.hooks
    return found


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST:
            raise TooLarge(f"The body is larger than {_LARGEST:,} bytes.")
    return bytes(body)


AHooks = Annotated[Hooks, Depends(_hooks)]
ABody = Annotated[bytes, Depends(_body)]


@router.post("/returns/ses", response_model=TakenAnswer)
async def ses_events(request: Request, hooks: AHooks, body: ABody) -> JSONResponse:
    """Events of Amazon SES, as Amazon SNS delivers them. Subscriptions of its known topics are confirmed."""
    sns = _set_up(hooks.sns, "CARAVAN_SES_TOPICS")
    event = await sns.read(body)
    return await _take(request, [] if event is None else ses.read_event(event), body)


@router.post("/returns/postmark", response_model=TakenAnswer)
async def postmark_events(request: Request, hooks: AHooks, body: ABody) -> JSONResponse:
    """A webhook of Postmark, with `CARAVAN_POSTMARK_PASSWORD` in its URL."""
    password = _set_up(hooks.postmark, "CARAVAN_POSTMARK_PASSWORD")
    postmark.check_password(request.headers.get("authorization", ""), password)
    return await _take(request, postmark.read_event(_object(body), body), body)


@router.post("/returns/sendgrid", response_model=TakenAnswer)
async def sendgrid_events(request: Request, hooks: AHooks, body: ABody) -> JSONResponse:
    """The signed event webhook of SendGrid."""
    key = _set_up(hooks.sendgrid, "CARAVAN_SENDGRID_KEY")
    signature, timestamp = (request.headers.get(name, "") for name in (sendgrid.SIGNATURE, sendgrid.TIMESTAMP))
    sendgrid.check_signature(key, signature, timestamp, body)
    return await _take(request, sendgrid.read_events(body), body)


@router.post("/returns/mailgun", response_model=TakenAnswer)
async def mailgun_events(request: Request, hooks: AHooks, body: ABody) -> JSONResponse:
    """A webhook of Mailgun."""
    key = _set_up(hooks.mailgun, "CARAVAN_MAILGUN_SECRET")
    event = _object(body)
    token = mailgun.check_signature(event, key, hooks.engine.clock.now())
    return await _take(request, mailgun.read_event(event, body), body, (mailgun.SOURCE, token))


async def _take(
    request: Request, found: list[Returned], body: bytes, token: tuple[str, str] | None = None
) -> JSONResponse:
    """Store what the events say. A `token` is good for one call, which counts once its events are stored. The answer is
    a 200, since Mailgun and Postmark take no other for success."""
    hooks = _hooks(request)
    recipients: Recipients = request.app.state.recipients

    async def spend(connection: Connection) -> None:
        assert token is not None
        if not await returns.take_token(connection, *token, hooks.engine.clock.now()):
            raise Conflict("This webhook has come before.")

    arrivals = [Arrival(each, None, body) for each in found]
    return JSONResponse({"taken": await take_in(hooks.engine, recipients, arrivals, spend if token else None)})


def _set_up(value: T | None, setting: str) -> T:
    if not value:
        raise NotFound(f"This provider is not set up: {setting} is not set.")
    return value


def _object(body: bytes) -> dict[str, Any]:
    found = None
    with suppress(ValueError, RecursionError):
        found = json.loads(body)
    if not isinstance(found, dict):
        raise InvalidInput("The body is not a JSON object.")
    return found
