"""Where a recipient unsubscribes: by the link in a message, or by one click in its mail program (RFC 8058).

GET and HEAD only show: scanners of mail follow every link. A POST does it, with no cookie, no login and no redirect,
since what makes it may have none of them and follow none. The same page takes it back.
"""

import logging
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import Response

from caravan.engine import suppressions
from caravan.engine.engine import Engine
from caravan.errors import NotFound, Unavailable
from caravan.queries.recipient import Recipient, Recipients
from caravan.recipients.page import html_page, trouble_page
from caravan.recipients.words import Words, words_for
from caravan.store.database import AWAY, single
from caravan.store.suppressions import Way

router = APIRouter()

_LARGEST_BODY: Final = 4_096  # bytes; what is beyond is not looked at
_LONGEST_NAME: Final = 120  # characters of a customer's name
_UNDO, _ALL = "undo", "all"
_log = logging.getLogger(__name__)


@router.api_route("/u/{key}", methods=["GET", "HEAD"], include_in_schema=False)
async def show(key: str, request: Request) -> Response:
    """The page that asks. It changes nothing."""
    found = await _found(request, key)
    if isinstance(found, Response):
        return found
    recipient, words = found
    async with single(_engine(request).pool) as connection:
        from_ = await suppressions.unsubscribed_from(
            connection, recipient.customer, recipient.channel, _address(recipient)
        )
    if None in from_ or (recipient.topic is not None and recipient.topic in from_):
        return _done(recipient, words, words.already, everything=None in from_)
    return _ask(recipient, words)


@router.post("/u/{key}", include_in_schema=False)
async def act(key: str, request: Request) -> Response:
    """Unsubscribe, from the message's topic or from everything; or take that back."""
    said = await _said(request)
    found = await _found(request, key)
    if isinstance(found, Response):
        return found
    recipient, words = found
    engine = _engine(request)
    who = recipient.customer, recipient.channel, _address(recipient)
    wanted = said.get("act", "")
    if wanted == _UNDO:
        await suppressions.subscribe_again(engine, *who, recipient.topic, everything=True)
        return _undone(recipient, words)
    topic = None if wanted == _ALL else recipient.topic
    way = Way.ONE_CLICK if said.get("list-unsubscribe", "").lower() == "one-click" else Way.PAGE
    detail = f"batch {recipient.batch}, step {recipient.step}"
    await suppressions.unsubscribe(engine, *who, topic, way, detail)
    return _done(recipient, words, words.done, everything=topic is None)


async def _found(request: Request, key: str) -> tuple[Recipient, Words] | Response:
    """Whom the key leads to, and its words; or the page that says why that can't be said."""
    accepted = request.headers.get("accept-language", "")
    words = words_for(None, accepted)
    recipients: Recipients = request.app.state.recipients
    try:
        recipient = await recipients.find(key)
    except NotFound:
        return trouble_page(HTTPStatus.NOT_FOUND, words, words.unknown, words.unknown_text)
    except (Unavailable, OSError, *AWAY) as error:
        _log.warning("A recipient could not be found just now: %s", " ".join(str(error).split()))
        answer = trouble_page(HTTPStatus.SERVICE_UNAVAILABLE, words, words.busy, words.busy_text)
        answer.headers["Retry-After"] = "60"
        return answer
    words = words_for(recipient.locale, accepted)
    if recipient.address is None:
        text = _filled(words.forgotten_text, recipient)
        return trouble_page(HTTPStatus.GONE, words, words.forgotten, text, _name(recipient))
    return recipient, words


async def _said(request: Request) -> dict[str, str]:
    """The fields of the form, by their names in lower case. The one field that a mail program sends, in whichever
    of the two kinds of forms RFC 8058 §3.1 allows, is found in either."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            break
    text = bytes(body[:_LARGEST_BODY]).decode("utf-8", "replace")
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        one_click = "list-unsubscribe" in text.lower() and "one-click" in text.lower()
        return {"list-unsubscribe": "one-click"} if one_click else {}
    return {name.lower(): values[0].strip() for name, values in parse_qs(text, max_num_fields=100).items()}


def _ask(recipient: Recipient, words: Words) -> Response:
    topic = recipient.topic
    buttons = [("topic", words.button_topic if topic else words.button_all, "main")]
    if topic:
        buttons.append((_ALL, _filled(words.button_everything, recipient), ""))
    title = _filled(words.ask_topic if topic else words.ask_all, recipient)
    return _page(HTTPStatus.OK, words, title, [words.once], recipient, mark="ask", buttons=buttons)


def _done(recipient: Recipient, words: Words, title: str, *, everything: bool) -> Response:
    sentence = words.done_all if everything or recipient.topic is None else words.done_topic
    buttons = [(_UNDO, words.undo, "")]
    if not everything and recipient.topic is not None:
        buttons.append((_ALL, _filled(words.button_everything, recipient), ""))
    sentences = [_filled(sentence, recipient)]
    return _page(HTTPStatus.OK, words, title, sentences, recipient, mark="done", buttons=buttons, note=words.under_way)


def _undone(recipient: Recipient, words: Words) -> Response:
    again = words.button_topic if recipient.topic else words.button_all
    buttons = [("topic", again, "")]
    return _page(HTTPStatus.OK, words, words.undone, [words.undone_text], recipient, mark="done", buttons=buttons)


def _page(
    status: HTTPStatus,
    words: Words,
    title: str,
    sentences: list[str],
    recipient: Recipient,
    *,
    mark: str,
    buttons: list[tuple[str, str, str]],
    note: str | None = None,
) -> Response:
    about = words.for_address.replace("{address}", _veiled(_address(recipient)))
    return html_page(
        status,
        words.language,
        words=words,
        title=title,
        sentences=sentences,
        customer=_name(recipient),
        mark=mark,
        address=about,
        buttons=buttons,
        note=note,
    )


def _filled(sentence: str, recipient: Recipient) -> str:
    parts = sentence.split("{customer}")
    topic = recipient.topic or ""
    return _name(recipient).join(part.replace("{topic}", topic) for part in parts)


def _name(recipient: Recipient) -> str:
    return recipient.customer_name[:_LONGEST_NAME]


def _address(recipient: Recipient) -> str:
    assert recipient.address is not None
    return recipient.address


def _veiled(address: str) -> str:
    """An address that its owner knows again, and to whom a message was forwarded does not learn: `a…a@example.com`."""
    local, at, domain = address.rpartition("@")
    if not at:
        return f"{address[:3]}…{address[-2:]}"
    return f"{local[0]}…{local[-1] if len(local) > 2 else ''}@{domain}"


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine
