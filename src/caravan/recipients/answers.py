"""Where a contact that was asked about (`ask`) is accepted or rejected, by a program or by a person.

GET and HEAD only show: scanners follow every link. A POST decides, once; what comes later is told what counts. A
program gets JSON, and a browser a page.
"""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from caravan.delivery.answers import Answer
from caravan.delivery.key import DeliveryKey
from caravan.engine.answer import asked_about, give_answer, why_late
from caravan.engine.engine import Engine
from caravan.errors import CaravanError, Conflict, Gone, InvalidInput, NotFound, TooLarge, Unavailable
from caravan.intake.strict import Accepted, classify
from caravan.queries.recipient import Recipients
from caravan.recipients.page import html_page
from caravan.recipients.words import ENGLISH
from caravan.store.database import AWAY

router = APIRouter()

LARGEST: Final = 64 << 10  # bytes of what comes with an answer
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_ASKED: Final = {
    Answer.ACCEPT: ("Accept {contact}?", "Accept", "Accepted"),
    Answer.REJECT: ("Reject {contact}?", "Reject", "Rejected"),
}
_LONGEST: Final = 120  # characters of a name
_STATUS: Final[Mapping[type[CaravanError], HTTPStatus]] = {
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Gone: HTTPStatus.GONE,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
_log = logging.getLogger(__name__)


@router.api_route("/a/{key}/{answer}/{signature}", methods=["GET", "HEAD"], include_in_schema=False)
async def show(key: str, answer: str, signature: str, request: Request) -> Response:
    """The page that asks. It changes nothing."""
    try:
        delivery, wanted = await _read(request, key, answer, signature)
        asked = await asked_about(_engine(request), delivery)
        late = None if asked.answered is not None else await why_late(_engine(request), asked)
    except (CaravanError, OSError, *AWAY) as error:
        return _trouble(request, error)
    if late is not None:
        return _trouble(request, Gone(late))
    question, button, _ = _ASKED[wanted]
    if asked.answered is not None:
        return _page(HTTPStatus.OK, f"{_ASKED[asked.answered][2]} already", ["Nothing more changes."], "done")
    about = f"Contact {asked.contact[:_LONGEST]}, in the journey “{asked.journey}”, is waiting for this answer."
    sentences = [about, "Nothing has changed yet. The first answer counts."]
    title = question.replace("{contact}", asked.contact[:_LONGEST])
    return _page(HTTPStatus.OK, title, sentences, "ask", [("answer", button, "main")])


@router.post("/a/{key}/{answer}/{signature}", include_in_schema=False)
async def act(key: str, answer: str, signature: str, request: Request) -> Response:
    """Accept or reject."""
    try:
        delivery, wanted = await _read(request, key, answer, signature)
        given = await _given(request)
        new = await give_answer(_engine(request), delivery, wanted, given)
    except (CaravanError, OSError, *AWAY) as error:
        return _trouble(request, error)
    if _wants_page(request):
        title = _ASKED[wanted][2]
        return _page(HTTPStatus.OK, title if new else f"{title} already", ["Thank you. That is all."], "done")
    return JSONResponse({"answer": wanted.event, "new": new}, headers={"Cache-Control": "no-store"})


async def _read(request: Request, key: str, answer: str, signature: str) -> tuple[DeliveryKey, Answer]:
    recipients: Recipients = request.app.state.recipients
    found = await recipients.read_answer(key, answer, signature)
    if found is None:
        raise NotFound("This address was not made by Caravan, or a part of it was cut off; nothing has changed.")
    return found


async def _given(request: Request) -> Mapping[str, Any]:
    """The properties that come with an answer: a JSON object. Raises `InvalidInput` and `TooLarge`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise TooLarge(f"What comes with an answer has at most {LARGEST // 1024} KiB; nothing has changed.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _FORMS or not body.strip():
        return {}  # the button of the page
    try:
        found = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise InvalidInput("What comes with an answer is a JSON object, or nothing; nothing has changed.") from None
    if not isinstance(found, dict):
        raise InvalidInput("What comes with an answer is a JSON object, or nothing; nothing has changed.")
    # By the rules for the properties of a contact, since that is what they become.
    verdict = classify(b'{"id": "0", "properties": ' + bytes(body).replace(b"\n", b" ") + b"}", LARGEST + 1024)
    if not isinstance(verdict, Accepted) or json.loads(verdict.properties) != found:
        reason = getattr(verdict, "message", "it is no JSON object")
        raise InvalidInput(f"What comes with the answer can't become properties: {reason} Nothing has changed.")
    return found


def _trouble(request: Request, error: Exception) -> Response:
    """The page that says why not; to a program the API says it as it does everywhere, once this is raised again."""
    if not _wants_page(request):
        raise error
    if not isinstance(error, CaravanError):
        _log.warning("An answer could not be taken just now: %s", " ".join(str(error).split()))
        error = Unavailable("This can't be done at the moment; try again in a minute. Nothing has changed.")
    status = next((each for kind, each in _STATUS.items() if isinstance(error, kind)), HTTPStatus.BAD_REQUEST)
    answer = _page(status, "This answer can't be taken", [error.message], "trouble")
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        answer.headers["Retry-After"] = "60"
    return answer


def _page(
    status: HTTPStatus,
    title: str,
    sentences: list[str],
    mark: str,
    buttons: list[tuple[str, str, str]] | None = None,
) -> Response:
    return html_page(
        status,
        ENGLISH.language,
        words=ENGLISH,
        title=title,
        sentences=sentences,
        customer=None,
        mark=mark,
        address=None,
        buttons=buttons or [],
        note=None,
    )


def _wants_page(request: Request) -> bool:
    return request.method in ("GET", "HEAD") or "text/html" in request.headers.get("accept", "")


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine
