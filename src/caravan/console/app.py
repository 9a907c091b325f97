"""The console on an app: all paths below /console, each page with its forms and its stream, and its static files."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from caravan.access.open_sessions import OpenSessions
from caravan.console import failures
from caravan.console.guard import Guard
from caravan.console.live import stream_of
from caravan.console.page import Fragments, Page
from caravan.console.registry import MENU, PAGES
from caravan.console.shared import Shared
from caravan.console.visit import LIVE, Visit, cookie_name, needed, open_visit
from caravan.engine.engine import Engine
from caravan.queries.preflights import Preflights

PREFIX = "/console"
_STATIC = Path(__file__).parent / "static"
_SMALLEST = 1024  # bytes of an answer that is worth compressing
Endpoint = Callable[[Request], Awaitable[Response]]


def install(app: FastAPI) -> None:
    """Serve the console on the API's app, before the paths that begin with a customer's number."""
    engine: Engine = app.state.engine
    app.state.menu = MENU
    app.state.shared = Shared()
    app.state.preflights = Preflights(engine)
    app.state.open_sessions = OpenSessions(engine)
    # Streams are left as they are: the middleware never packs text/event-stream.
    console = Guard(GZipMiddleware(Console(PAGES), _SMALLEST), engine.settings.public_url)
    app.router.routes[:0] = [Route(PREFIX, console), Route(PREFIX + "/{rest:path}", console)]


class Console:
    """An ASGI app of these pages. It holds no state of any page, so that each process can answer for each other."""

    def __init__(self, pages: list[Page]) -> None:
        static = Mount(f"{PREFIX}/static", StaticFiles(directory=_STATIC))
        # Streams before pages: `…/batches/live` is no batch of that name.
        routes: list[BaseRoute] = [static, *_streams(pages), *(route for page in pages for route in _routes(page))]
        self._router = Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        scope["path_params"] = {}  # the route that led here has one that is none of a page's
        try:
            await self._router(scope, receive, send)
        except HTTPException as error:  # raised before any answer began: no page has this path, or not this method
            await failures.page(Request(scope, receive), error)(scope, receive, send)
        finally:
            if not isinstance(scope.get("route"), Page):
                scope.pop("route", None)  # calls are counted by pages, not by what strangers try


def _streams(pages: list[Page]) -> list[Route]:
    return [Route(PREFIX + each.path + LIVE, _answered(each, _follow), methods=["GET"]) for each in pages if each.live]


def _routes(page: Page) -> list[Route]:
    path = PREFIX + page.path
    routes = [Route(path, _answered(page, _show), methods=["GET"])]
    if page.submit is not None:
        routes.append(Route(path, _answered(page, _submit), methods=["POST"]))
    return routes


def _answered(page: Page, answer: Callable[[Page, Visit], Awaitable[Response]]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        request.scope["route"] = page
        try:
            visit = await open_visit(request)
            return needed(page, visit) or await answer(page, visit)
        except Exception as error:
            return failures.page(request, error)

    return endpoint


async def _show(page: Page, visit: Visit) -> Response:
    return await page.show(visit)


async def _submit(page: Page, visit: Visit) -> Response:
    assert page.submit is not None
    return await page.submit(visit)


async def _follow(page: Page, visit: Visit) -> Response:
    assert page.live is not None
    headers = {"X-Accel-Buffering": "no"}  # nginx would keep events until it has 4 kB of them
    stream = _while_open(visit, await page.live(visit))
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _while_open(visit: Visit, found: AsyncIterator[Fragments]) -> AsyncIterator[str]:
    sessions: OpenSessions = visit.request.app.state.open_sessions
    token = visit.request.cookies[cookie_name(visit.engine)]
    async with sessions.watched(token, visit.request.path_params.get("customer")) as ended:
        async for event in stream_of(found, ended):
            yield event
