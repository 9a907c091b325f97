"""Where the SMS gateway reports what became of messages, and hands on what recipients answer: POSTs whose signature or
secret proves that they are its own."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response

from caravan.channels.sms.gateway import Gateway
from caravan.channels.sms.open import gateway_of
from caravan.channels.sms.returned import Posted
from caravan.engine.engine import Engine
from caravan.errors import Forbidden, NotFound, TooLarge
from caravan.returns.collector import Collector
from caravan.returns.texts import Keyed, take_reply, take_reports

router = APIRouter(tags=["returns"])
_LARGEST: Final = 1 << 20  # octets of a body
_NOTHING_TO_SAY: Final = '<?xml version="1.0" encoding="UTF-8"?><Response/>'  # TwiML: no answer is to be sent


class SmsHooks:
    """The gateway of the settings, and the way of its reports. Raises `InvalidSetting`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.gateway = gateway_of(engine.settings)
        self.reports: Collector[Keyed] | None = None

    def checked(self, posted: Posted) -> Gateway:
        """The gateway, if the call is its own. Raises `NotFound` where none is set, and `Forbidden`."""
        if self.gateway is None:
            raise NotFound("No SMS gateway is set up: CARAVAN_SMS_URL is not set.")
        if not self.gateway.verified(posted, self.engine.clock.now()):
            raise Forbidden("This call is not signed by the SMS gateway; see docs/sms.md, and set CARAVAN_PUBLIC_URL.")
        return self.gateway


async def _posted(request: Request) -> Posted:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST:
            raise TooLarge(f"The body is larger than {_LARGEST:,} bytes.")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Posted(_public_url(request), headers, dict(request.query_params), bytes(body))


def _public_url(request: Request) -> str:
    """The address as the caller has it: a proxy may have changed what arrives here."""
    engine: Engine = request.app.state.engine
    links_url = engine.settings.links_url
    if links_url is None:
        return str(request.url)
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{links_url.rstrip('/')}{request.url.path}{query}"


def _hooks(request: Request) -> SmsHooks:
    found: SmsHooks = request.app.state.sms_hooks
    return found


APosted = Annotated[Posted, Depends(_posted)]
AHooks = Annotated[SmsHooks, Depends(_hooks)]
_TWIML: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "TwiML that asks for no answer to the recipient.",
        "content": {"text/xml": {"schema": {"type": "string", "const": _NOTHING_TO_SAY}}},
    }
}
AKey = Annotated[str, Path(max_length=48, description="The delivery key.")]


@router.post("/returns/sms/reports/{key}", status_code=204)
async def report(request: Request, hooks: AHooks, posted: APosted, key: AKey) -> Response:
    """What became of one text message."""
    return await _reports(request, hooks, posted, key)


@router.post("/returns/sms/reports", status_code=204)
async def reports(request: Request, hooks: AHooks, posted: APosted) -> Response:
    """What became of text messages, each with its delivery key."""
    return await _reports(request, hooks, posted, None)


@router.post("/returns/sms/replies", response_class=Response, responses=_TWIML)
async def replies(request: Request, hooks: AHooks, posted: APosted) -> Response:
    """What a recipient answers: STOP and START count for the customers that wrote to it."""
    return await _replies(request, hooks, posted, None)


@router.post("/returns/sms/replies/{customer}", response_class=Response, responses=_TWIML)
async def replies_of(
    request: Request, hooks: AHooks, posted: APosted, customer: Annotated[int, Path(gt=0, lt=2**31)]
) -> Response:
    """What a recipient answers to a number that one customer has for itself."""
    return await _replies(request, hooks, posted, customer)


async def _reports(request: Request, hooks: SmsHooks, posted: Posted, key: str | None) -> Response:
    gateway = hooks.checked(posted)
    recipients = request.app.state.recipients
    if hooks.reports is None:
        hooks.reports = Collector(lambda found: take_reports(hooks.engine, recipients, found))
    for each in gateway.reports(posted):
        if text := key or each.key:
            await hooks.reports.put(Keyed(each, text, gateway.name))
    return Response(status_code=204)


async def _replies(request: Request, hooks: SmsHooks, posted: Posted, customer: int | None) -> Response:
    gateway = hooks.checked(posted)
    for each in gateway.replies(posted):
        await take_reply(hooks.engine, request.app.state.recipients, gateway.name, each, customer)
    return Response(_NOTHING_TO_SAY, media_type="text/xml")
