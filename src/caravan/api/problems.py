"""Errors as HTTP: problem+json (RFC 9457), with `error` for the wire protocol's clients."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from procrastinate.exceptions import ConnectorException
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from caravan import errors
from caravan.api.protocol import allowed
from caravan.queue import transient
from caravan.store.database import AWAY

PROBLEM = "application/problem+json"
_log = logging.getLogger(__name__)

_STATUS: dict[type[errors.CaravanError], HTTPStatus] = {
    errors.InvalidDefinition: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidInput: HTTPStatus.BAD_REQUEST,
    errors.Unauthorized: HTTPStatus.UNAUTHORIZED,
    errors.TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TooOften: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Gone: HTTPStatus.GONE,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.REQUEST_TIMEOUT: {"Connection": "close"},  # RFC 9110 §15.5.9; the rest of the body would follow
}


def problem(
    status: HTTPStatus,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    definition: errors.InvalidDefinition | None = None,
) -> JSONResponse:
    """A problem+json answer, with the problems and warnings of a journey's `definition`."""
    content: dict[str, object] = {"title": status.phrase, "status": int(status), "detail": detail, "error": detail}
    if definition is not None:
        content["problems"] = [each.to_json() for each in definition.problems]
        content["warnings"] = [each.to_json() for each in definition.warnings]
    told = {**_HEADERS.get(status, {}), **(headers or {})}
    return JSONResponse(content, status, headers=told, media_type=PROBLEM)


def status_of(error: errors.CaravanError) -> HTTPStatus:
    """The status that fits an error best."""
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


async def _caravan_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.CaravanError)
    definition = error if isinstance(error, errors.InvalidDefinition) else None
    return problem(status_of(error), error.message, definition=definition)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.NOT_FOUND:
        return problem(status, f"There is nothing at {_shown(request)}; /docs lists all calls.")
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        good = ", ".join(allowed(request.app.routes, request.scope))
        sentence = f"{_shown(request)} takes {good}, not {request.method}; /docs lists all calls."
        return problem(status, sentence, headers={"Allow": good})
    return problem(status, str(error.detail))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    wrong = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors()]
    return problem(HTTPStatus.BAD_REQUEST, "The request can't be used: " + "; ".join(wrong) + ".")


def _shown(request: Request) -> str:
    """The path for the log: without what is a credential in it, as in the URL of an upload or of an answer."""
    first = request.url.path.split("/")[1]
    return f"/{first}/…" if first in ("uploads", "a") else request.url.path


async def _unstorable(request: Request, error: Exception) -> JSONResponse:
    return problem(
        HTTPStatus.BAD_REQUEST, "The request holds what can't be stored: a NUL character or half of a surrogate pair."
    )


async def _disconnected(request: Request, error: Exception) -> JSONResponse:
    _log.info("%s %s: the client went away", request.method, _shown(request))
    return problem(HTTPStatus.BAD_REQUEST, "The connection was closed before the body was complete.")


async def _no_database(request: Request, error: Exception) -> JSONResponse:
    around = error if isinstance(error, AWAY) else error.__cause__
    if not isinstance(around, AWAY):
        return await unexpected(request, error)
    if transient.no_room(around) is not None:
        return await _no_room(request, around)
    _log.warning("%s %s: %s", request.method, _shown(request), " ".join(str(around).split()))
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, "PostgreSQL does not answer; try again in some seconds.")


async def _no_room(request: Request, error: Exception) -> JSONResponse:
    full = transient.no_room(error)
    if full is None:
        return await unexpected(request, error)
    _log.warning("%s %s: %s", request.method, _shown(request), " ".join(str(error).split()))
    sentence = f"A disk of the server takes nothing more ({full}). Nothing of this was kept; try again later."
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, sentence)


async def unexpected(request: Request, error: Exception) -> JSONResponse:
    """The answer to a call that failed for a reason that none of the others names; the log has the reason."""
    _log.error("%s %s failed", request.method, _shown(request), exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Caravan failed to do this; its log says why.")


def install(app: FastAPI) -> None:
    """Answer all errors in this way."""
    app.add_exception_handler(errors.CaravanError, _caravan_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClientDisconnect, _disconnected)
    app.add_exception_handler(psycopg.DataError, _unstorable)
    app.add_exception_handler(UnicodeEncodeError, _unstorable)
    for away in AWAY:
        app.add_exception_handler(away, _no_database)
    app.add_exception_handler(ConnectorException, _no_database)
    app.add_exception_handler(OSError, _no_room)
    app.add_exception_handler(Exception, unexpected)
