"""Links and images of messages that tell of themselves. The answer waits for nothing but where it leads: that it came
is written down beside it.

GET counts, HEAD does not. A key that is none, and a link that no message has, get 404, and are led nowhere.
"""

import logging
from base64 import b64decode
from datetime import datetime
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from caravan.delivery.key import DeliveryKey
from caravan.delivery.tracked_url import read_when
from caravan.engine.hits import HitWriter
from caravan.errors import NotFound, Unavailable
from caravan.queries.tracked import Sent, Tracked
from caravan.recipients.page import trouble_page
from caravan.recipients.words import words_for
from caravan.store.database import AWAY
from caravan.store.hits import Hit
from caravan.urls import as_location

router = APIRouter()

_IMAGE: Final = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")  # GIF, 1×1, nothing to see
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the site behind the link is not told the key
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
_LONGEST_AGENT: Final = 300  # characters
_log = logging.getLogger(__name__)


@router.api_route("/c/{key}/{rest:path}", methods=["GET", "HEAD"], include_in_schema=False)
async def follow(key: str, rest: str, request: Request) -> Response:
    """Lead on to where a link goes."""
    tracked: Tracked = request.app.state.tracked
    try:
        found = await tracked.followed(key, rest)
    except NotFound:
        return _unknown(request)
    except (Unavailable, OSError, *AWAY) as error:
        return _busy(request, error)
    _note(request, found.key, found.sent, "clicked", found.link.link, found.url, found.link.when)
    return Response(status_code=HTTPStatus.FOUND, headers={**_HEADERS, "Location": as_location(found.url)})


@router.api_route("/o/{key}", methods=["GET", "HEAD"], include_in_schema=False)
@router.api_route("/o/{key}/{when}", methods=["GET", "HEAD"], include_in_schema=False)
async def show(key: str, request: Request, when: str = "") -> Response:
    """The image of a message."""
    tracked: Tracked = request.app.state.tracked
    try:
        read, sent = await tracked.opened(key)
    except NotFound:
        return Response(status_code=HTTPStatus.NOT_FOUND, headers=_HEADERS)
    except (Unavailable, OSError, *AWAY) as error:
        _log.warning("An open could not be noted just now: %s", " ".join(str(error).split()))
    else:
        _note(request, read, sent, "opened", None, None, read_when(when))
    return Response(_IMAGE, headers=_HEADERS, media_type="image/gif")


def _note(
    request: Request,
    key: DeliveryKey,
    sent: Sent,
    event: str,
    link: str | None,
    url: str | None,
    written_at: datetime | None,
) -> None:
    writer: HitWriter = request.app.state.hits
    headers = request.headers
    purpose = f"{headers.get('sec-purpose', '')} {headers.get('purpose', '')} {headers.get('x-moz', '')}".lower()
    agent = "".join(each if each.isprintable() else " " for each in headers.get("user-agent", ""))
    writer.note(
        Hit(
            customer=sent.customer,
            batch=key.batch,
            step=sent.step,
            visit=key.visit,
            line=key.line,
            event=event,
            link=link,
            url=url,
            method=str(request.scope.get("asked_method", request.method)),  # api/protocol.py answers a HEAD as a GET
            at=request.app.state.engine.clock.now(),
            written_at=written_at,
            agent=agent[:_LONGEST_AGENT].strip(),
            prefetch="prefetch" in purpose or "preview" in purpose,
        )
    )


def _unknown(request: Request) -> Response:
    words = words_for(None, request.headers.get("accept-language", ""))
    return _page(request, HTTPStatus.NOT_FOUND, words.unknown, words.unknown_text)


def _busy(request: Request, error: Exception) -> Response:
    _log.warning("A link could not be followed just now: %s", " ".join(str(error).split()))
    words = words_for(None, request.headers.get("accept-language", ""))
    answer = _page(request, HTTPStatus.SERVICE_UNAVAILABLE, words.busy, words.busy_text)
    answer.headers["Retry-After"] = "60"
    return answer


def _page(request: Request, status: HTTPStatus, title: str, sentence: str) -> Response:
    words = words_for(None, request.headers.get("accept-language", ""))
    return trouble_page(status, words, title, sentence)
