"""For operators: is it alive, is it ready, how much stands where."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse

from caravan.api.access import AnEngine
from caravan.api.answers import Healthy, Ready
from caravan.errors import Unavailable
from caravan.queries.readiness import Part, Readiness
from caravan.settings import SANDBOX_NOTICE, Settings
from caravan.store import jobs, sql
from caravan.store.database import row, rows

router = APIRouter(tags=["operation"])

_BATCHES = sql.load("caravan.store", "batches.sql")
_COHORTS = sql.load("caravan.store", "cohorts.sql")


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
    """Prometheus text format 0.0.4."""
    async with engine.pool.connection() as connection:
        by_state = await rows(connection, _BATCHES.by_state)
        standing = await row(connection, _COHORTS.totals)
        counts = await jobs.by_queue(connection)
    assert standing is not None
    lines = [
        "# HELP caravan_batches Batches by state.",
        "# TYPE caravan_batches gauge",
        *(f'caravan_batches{{state="{each["state"]}"}} {each["batches"]}' for each in by_state),
        "# HELP caravan_contacts_standing Contacts that stand at a step.",
        "# TYPE caravan_contacts_standing gauge",
        f"caravan_contacts_standing {standing['contacts']}",
        "# HELP caravan_contacts_stuck Those of them who wait for a retry by command.",
        "# TYPE caravan_contacts_stuck gauge",
        f"caravan_contacts_stuck {standing['stuck']}",
        "# HELP caravan_cohorts_standing Cohorts that stand at a step.",
        "# TYPE caravan_cohorts_standing gauge",
        f"caravan_cohorts_standing {standing['cohorts']}",
        "# HELP caravan_jobs Jobs that wait or run, by queue.",
        "# TYPE caravan_jobs gauge",
        *(f'caravan_jobs{{queue="{each.queue}",status="{each.status}"}} {each.jobs}' for each in counts),
    ]
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")
