"""For operators: is it alive, is it ready, how much stands where."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse

from caravan.api.access import AnEngine
from caravan.api.answers import Healthy, Ready
from caravan.errors import Unavailable
from caravan.queries.metrics import exposition
from caravan.queries.readiness import Part, Readiness
from caravan.settings import SANDBOX_NOTICE, Settings

router = APIRouter(tags=["operation"])


@router.get("/healthz", response_model=Healthy)
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_model=Ready)
async def readyz(
    request: Request,
    exclude: Annotated[list[Part], Query(default_factory=list, description="What may be away all the same.")],
) -> dict[str, str]:
    """All calls can be served: PostgreSQL and the store of files answer. Takes two seconds at most.

    `mail` tells whether this process knows a relay, or mails are kept in the sandbox."""
    readiness: Readiness = request.app.state.readiness
    if missing := await readiness.look(exclude):
        raise Unavailable(" ".join(missing))
    settings: Settings = request.app.state.engine.settings
    return {"status": "ready", "mail": "relay" if settings.smtp_url else f"sandbox: {SANDBOX_NOTICE}"}


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(engine: AnEngine) -> Response:
    """Prometheus text format 0.0.4: the totals of all processes of the installation, so that any API shows the same."""
    page = await exposition(engine.pool, engine.metrics)
    return Response(page, media_type="text/plain; version=0.0.4")
