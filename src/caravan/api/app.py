"""The doors: one FastAPI app with every resource, below /{customerid} and, the same, below /rest/{customerid}."""

from functools import cache

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from caravan import __version__
from caravan.api import (
    audit,
    batches,
    batchtrigger,
    came_back,
    caps,
    channels,
    contacts,
    dead_letters,
    erasures,
    events,
    health,
    journeys,
    openapi,
    preflight,
    problems,
    restart,
    retention,
    returns,
    suppressions,
    test_sends,
    uploads,
    waiting,
)
from caravan.api.access import RecentTokens
from caravan.api.framing import Framing
from caravan.api.lean import Lean
from caravan.api.linger import Lingering
from caravan.api.observed import HEADER, Observed
from caravan.api.protocol import Protocol
from caravan.api.spelling import known_queries
from caravan.engine.commence import Starter
from caravan.engine.engine import Engine
from caravan.engine.hits import HitWriter
from caravan.engine.reports import Reporter
from caravan.queries.readiness import Readiness
from caravan.queries.recipient import Recipients
from caravan.queries.tracked import Tracked
from caravan.queries.watch import Watches
from caravan.recipients import answers, tracking, unsubscribe
from caravan.returns import hooks, sms_hooks

_EXPOSED = ("Link", "Caravan-Version", HEADER)  # headers of answers that a page of another origin may read

OF_ALL = (health, openapi, uploads, unsubscribe, tracking, answers, hooks, sms_hooks)
OF_CUSTOMERS = (
    batchtrigger,
    batches,
    came_back,
    restart,
    dead_letters,
    returns,
    preflight,
    events,  # before the contacts, whose path takes all that follows
    contacts,
    erasures,
    channels,
    caps,
    suppressions,
    journeys,
    waiting,
    test_sends,
    retention,
    audit,
)
RESOURCES = (*OF_ALL, *OF_CUSTOMERS)


def create_app(engine: Engine) -> FastAPI:
    """The HTTP API on an engine."""
    app = FastAPI(
        title="Caravan",
        version=__version__,
        description="A file of contacts enters a journey, all at the same time.",
        docs_url=None,  # ours needs nothing from the net
        redoc_url=None,
        redirect_slashes=False,
        routes=_routes(),
    )
    app.state.engine = engine
    app.state.recent_tokens = RecentTokens()
    app.state.readiness = Readiness(engine)
    app.state.watches = Watches(engine, readiness=app.state.readiness)
    app.state.starter = Starter(engine)
    app.state.reporter = Reporter(engine)
    app.state.recipients = Recipients(engine)
    app.state.hooks = hooks.Hooks(engine)
    app.state.sms_hooks = sms_hooks.SmsHooks(engine)
    app.state.tracked = Tracked(engine)
    app.state.hits = HitWriter(engine)
    app.state.signer = None  # made by the first call that needs it
    problems.install(app)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    app.add_middleware(Lean)
    _allow_origins(app, engine.settings.cors_origins)
    app.add_middleware(Observed, metrics=engine.metrics)
    app.add_middleware(Protocol)
    app.add_middleware(Framing)
    app.add_middleware(Lingering)  # around all others, which may answer early too
    return app


def _allow_origins(app: FastAPI, origins: str | None) -> None:
    """Let web pages of these origins call (CORS): no cookie is involved, since each call brings its token."""
    if origins:
        known = [origin.strip() for origin in origins.split(",")]
        app.add_middleware(
            CORSMiddleware, allow_origins=known, allow_methods=["*"], allow_headers=["*"], expose_headers=_EXPOSED
        )


@cache
def _routes() -> list[BaseRoute]:
    """What all apps of a process share: FastAPI works out the parameters and answers of all paths anew for each app
    that includes their routers, which takes more than a tenth of a second."""
    router = APIRouter(redirect_slashes=False)
    # First, so that /uploads/… is no customer's.
    for resource in OF_ALL:
        router.include_router(resource.router)
    known = [Depends(known_queries)]
    for resource in OF_CUSTOMERS:
        router.include_router(resource.router, prefix="/{customerid}", dependencies=known)
        router.include_router(resource.router, prefix="/rest/{customerid}", dependencies=known, include_in_schema=False)
    return router.routes


def _described(app: FastAPI) -> dict[str, object]:
    """Made once: it takes long, and nothing in it changes."""
    if app.openapi_schema is None:
        app.openapi_schema = openapi.describe(app)
    return app.openapi_schema
