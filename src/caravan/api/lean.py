"""The single starter's call without the cost of routing: it alone may come thousands of times a second.

The router tries each route in turn, and FastAPI reads each parameter by one general way: together four fifths of the
app's CPU time for such a call. So this middleware takes the calls that are as plain as can be. Whatever is different
about one, like a query or a number that is none, goes the usual way to the same function (`calls.py: commence`), whose
route (`journeys.py: commence_journey`) also describes it in /openapi.json.
"""

import re

from fastapi import FastAPI, Request, Response
from fastapi.security.utils import get_authorization_scheme_param
from starlette.types import ASGIApp, Receive, Scope, Send

from caravan.api.access import authenticate
from caravan.api.calls import commence

_PLAIN = re.compile(r"(?:/rest)?/([1-9][0-9]{0,17})/journeys/([1-9][0-9]{0,17})/commence")


class Lean:
    """An ASGI middleware around the router."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        plain = scope["type"] == "http" and scope["method"] == "POST" and not scope["query_string"]
        found = _PLAIN.fullmatch(scope["path"]) if plain else None
        if found is None:
            await self._app(scope, receive, send)
            return
        # As the router leaves it, for what is counted by route (observed.py).
        scope.update(route=self, path_params={"customerid": found[1], "journeyid": found[2]})
        answer = await _answer(Request(scope, receive), found[1], int(found[2]))
        await answer(scope, receive, send)


async def _answer(request: Request, customerid: str, journey: int) -> Response:
    try:
        kind, bearer = get_authorization_scheme_param(request.headers.get("authorization"))
        token = request.headers.get("x-carma-authentication-token") or (kind.lower() == "bearer" and bearer.strip())
        return await commence(request, await authenticate(request, customerid, token or None), journey)
    except Exception as error:
        return await _problem(request, error)


async def _problem(request: Request, error: Exception) -> Response:
    """The answer to an error, by the handler of the app that fits it best."""
    app: FastAPI = request.app
    handler = next(app.exception_handlers[kind] for kind in type(error).__mro__ if kind in app.exception_handlers)
    answer: Response = await handler(request, error)  # type: ignore[misc]
    return answer
