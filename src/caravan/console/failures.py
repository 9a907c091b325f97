"""What went wrong, as a page: a sentence that says what to do."""

import logging
from http import HTTPStatus

import psycopg
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from caravan.api.problems import status_of
from caravan.console.rendering import render
from caravan.errors import CaravanError
from caravan.store.database import AWAY

_log = logging.getLogger(__name__)


def page(request: Request, error: Exception) -> Response:
    """The page for an error."""
    status, sentence = _told(request, error)
    html = render("failure.html", visitor=None, customer=None, title=status.phrase.capitalize(), sentence=sentence)
    return Response(html, status, media_type="text/html")


def _told(request: Request, error: Exception) -> tuple[HTTPStatus, str]:
    if isinstance(error, CaravanError):
        return status_of(error), error.message
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        return status, "There is no such page." if status is HTTPStatus.NOT_FOUND else status.description
    if isinstance(error, (psycopg.DataError, UnicodeEncodeError)):
        sentence = "The form holds what can't be stored: a NUL character or half of a surrogate pair."
        return HTTPStatus.BAD_REQUEST, sentence
    if isinstance(error, AWAY):
        _log.warning("%s %s: %s", request.method, request.url.path, " ".join(str(error).split()))
        return HTTPStatus.SERVICE_UNAVAILABLE, "The database can't be reached just now. Try again in some seconds."
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return HTTPStatus.INTERNAL_SERVER_ERROR, "Caravan failed to do this; its log says why."
