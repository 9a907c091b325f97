"""The doors: one FastAPI app with every resource, below /{customerid} and, the same, below /rest/{customerid}."""

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware

from caravan import __version__
from caravan.api import batches, batchtrigger, contacts, health, journeys, openapi, preflight, problems, uploads
from caravan.api.access import RecentTokens
from caravan.api.framing import Framing
from caravan.api.lean import Lean
from caravan.api.linger import Lingering
from caravan.api.observed import HEADER, Observed
from caravan.api.protocol import Protocol
from caravan.api.spelling import known_queries
from caravan.engine.commence import Starter
from caravan.engine.engine import Engine
from caravan.queries.readiness import Readiness
from caravan.queries.watch import Watches

_EXPOSED = ("Link", "Caravan-Version", HEADER)  # headers of answers that a page of another origin may read


def create_app(engine: Engine) -> FastAPI:
    """The HTTP API on an engine."""
    app = FastAPI(
        title="Caravan",
        version=__version__,
        description="A file of contacts enters a journey, all at the same time.",
        docs_url=None,  # ours needs nothing from the net
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.engine = engine
    app.state.recent_tokens = RecentTokens()
    app.state.readiness = Readiness(engine)
    app.state.watches = Watches(engine)
    app.state.starter = Starter(engine)
    app.state.signer = None  # made by the first call that needs it
    problems.install(app)
    _route(app)
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


def _route(app: FastAPI) -> None:
    # First, so that /uploads/… is no customer's.
    for resource in (health, openapi, uploads):
        app.include_router(resource.router)
    known = [Depends(known_queries)]
    for resource in (batchtrigger, batches, preflight, contacts, journeys):
        app.include_router(resource.router, prefix="/{customerid}", dependencies=known)
        app.include_router(resource.router, prefix="/rest/{customerid}", dependencies=known, include_in_schema=False)


def _described(app: FastAPI) -> dict[str, object]:
    """Made once: it takes long, and nothing in it changes."""
    if app.openapi_schema is None:
        app.openapi_schema = openapi.describe(app)
    return app.openapi_schema
