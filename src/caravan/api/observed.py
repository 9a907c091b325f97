"""Every call has an id, which its log lines and its answer carry, and is counted and timed."""

import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from caravan.api import problems
from caravan.metrics import Metrics

HEADER = "X-Request-Id"
_SANE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")  # what gateways and tracers make
_OTHER = "other"  # paths and methods that are none, so that what strangers try makes no new lines of /metrics
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


class Observed:
    """An ASGI middleware. A call's own `X-Request-Id` is kept if it is sane, else one is made."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, status, begun = request_id(Headers(scope=scope).get(HEADER)), 0, time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request
            await send(message)

        try:
            with bound_contextvars(request=request):
                try:
                    await self._app(scope, receive, answer)
                except Exception as error:  # here, where its line in the log has the id
                    if status:
                        raise
                    await (await problems.unexpected(Request(scope), error))(scope, receive, answer)
        finally:
            self._note(scope, status or 500, time.perf_counter() - begun)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method, route = scope["method"] if scope["method"] in _METHODS else _OTHER, route_of(scope)
        self._metrics.calls.labels(method, route, str(status)).inc()
        self._metrics.call_seconds.labels(method, route).observe(seconds)


def request_id(given: str | None) -> str:
    """The id of a call: the given one, or a new one where it is none or not sane."""
    return given if given is not None and _SANE.fullmatch(given) else secrets.token_hex(8)


def route_of(scope: Scope) -> str:
    """The path of a call that was routed, with its parameters' names in place of their values."""
    if "route" not in scope:
        return _OTHER
    left = list(scope.get("path_params", {}).items())
    words = []
    for word in scope["path"].split("/"):
        if left and word == str(left[0][1]):
            words.append(f"{{{left.pop(0)[0]}}}")
        else:
            words.append(word)
    return "/".join(words) if not left else _OTHER
