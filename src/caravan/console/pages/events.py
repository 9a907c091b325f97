"""Events: which came lately, and those of one name or of one contact."""

from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from caravan.api.events import place_of
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit
from caravan.errors import InvalidInput
from caravan.store import events as store
from caravan.store.database import single
from caravan.store.events import StoredEvent

_ON_A_PAGE: Final = 50
_HOURS: Final = 24


async def show(visit: Visit) -> Response:
    """How many of each name came within a day; with a name or a contact, the events themselves, newest first."""
    query = visit.request.query_params
    name, contact = _text(query.get("event"), 64), _text(query.get("id"), 256)
    found, names = list[tuple[str, StoredEvent]](), list[store.NameCount]()
    async with single(visit.engine.pool) as connection:
        place = place_of(query.get("before") or None)
        if contact is not None:
            some = await store.of_contact(
                connection, visit.customer, contact, limit=_ON_A_PAGE, name=name, before=place
            )
            found = [(contact, each) for each in some]
        elif name is not None:
            found = await store.of_name(connection, visit.customer, name, limit=_ON_A_PAGE, before=place)
        else:
            names = await store.names(connection, visit.customer, _HOURS)
    path = f"{HOME}/{visit.customer}/events"
    return visit.page(
        "events.html",
        found=found,
        names=names,
        name=name,
        contact=contact,
        hours=_HOURS,
        days=visit.engine.settings.event_days,
        path=path,
        following=_following(path, name, contact, found[-1][1]) if len(found) == _ON_A_PAGE else None,
        customer_id=visit.customer,
    )


def _text(given: str | None, longest: int) -> str | None:
    """Raises `InvalidInput` for what is too long."""
    if given is not None and len(given) > longest:
        raise InvalidInput(f"That has {len(given):,} characters; there are at most {longest}.")
    return (given or "").replace("\0", "") or None


def _following(path: str, name: str | None, contact: str | None, last: StoredEvent) -> str:
    pairs = {"event": name, "id": contact, "before": f"{last.at.isoformat()},{last.id}"}
    return f"{path}?{urlencode({key: value for key, value in pairs.items() if value is not None})}"


PAGE = Page("/{customer:int}/events", show, menu="Events", menu_place=35)
