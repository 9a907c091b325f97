"""The doors: one FastAPI app with every resource, below /{customerid} and, the same, below /rest/{customerid}."""

from fastapi import Depends, FastAPI

from caravan import __version__
from caravan.api import batches, batchtrigger, health, journeys, problems, uploads
from caravan.api.access import RecentTokens
from caravan.api.queries import known_queries
from caravan.engine.engine import Engine
from caravan.queries.readiness import Readiness
from caravan.queries.watch import Watches


def create_app(engine: Engine) -> FastAPI:
    """The HTTP API on an engine."""
    app = FastAPI(
        title="Caravan",
        version=__version__,
        description="A file of contacts enters a journey, all at the same time.",
    )
    app.state.engine = engine
    app.state.recent_tokens = RecentTokens()
    app.state.readiness = Readiness(engine)
    app.state.watches = Watches(engine)
    app.state.signer = None  # made by the first call that needs it
    problems.install(app)
    # First, so that /uploads/… is no customer's.
    app.include_router(health.router)
    app.include_router(uploads.router)
    for resource in (batchtrigger, batches, journeys):
        known = [Depends(known_queries)]
        app.include_router(resource.router, prefix="/{customerid}", dependencies=known)
        app.include_router(resource.router, prefix="/rest/{customerid}", dependencies=known, include_in_schema=False)
    return app
