"""The installation, for its operator: workers, queues, stuck work, PostgreSQL, disks and versions, live, with what each
means. Others are told that there is no such page."""

from collections.abc import AsyncIterator

from starlette.responses import Response

from caravan.console.page import Fragments, Page
from caravan.console.rendering import macro
from caravan.console.visit import Visit
from caravan.queries.system import LISTED, SystemState, system_state
from caravan.queries.system_findings import findings, queue_findings, spell, worst

_PARTS = ("verdict", "findings", "stuck", "queues", "running", "versions")  # macros, and the ids of what they make
_TEMPLATE = "system_parts.html"


async def show(visit: Visit) -> Response:
    """The page."""
    visit.operators_only()
    state = await system_state(visit.engine, visit.request.app.state.readiness)
    return visit.page("system.html", parts=_fragments(state))


async def live(visit: Visit) -> AsyncIterator[Fragments]:
    """All parts, without an end."""
    visit.operators_only()
    return _follow(visit.watches.follow_system())


async def _follow(followed: AsyncIterator[SystemState]) -> AsyncIterator[Fragments]:
    async for state in followed:
        yield _fragments(state)


def _fragments(state: SystemState) -> dict[str, str]:
    values = {
        "state": state,
        "found": findings(state),
        "queue_list": queue_findings(state),
        "worst": worst(state),
        "spell": spell,
        "most": LISTED,
    }
    return {part: macro(_TEMPLATE, part, values) for part in _PARTS}


PAGE = Page("/system", show, live=live)
