"""The history of one address: what stands against it, and what was lifted, by whom and when."""

from starlette.responses import Response

from caravan.api.spelling import among
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine.suppressions import address_of, channel_names
from caravan.errors import NotFound
from caravan.store import suppressions as store
from caravan.store.database import snapshot


async def show(visit: Visit) -> Response:
    """The page, or without an address the list. Raises `NotFound` for an address that was never suppressed."""
    query, path = visit.request.query_params, f"{HOME}/{visit.customer}/suppressions"
    if not query.get("address"):
        return see_other(path)
    channel = query.get("channel") or "email"
    among("channel", channel, channel_names(visit.engine))
    address = address_of(channel, query.get("address"))
    async with snapshot(visit.engine.pool) as connection:
        standing = await store.of_address(connection, visit.customer, channel, address)
        lifted = await store.lifted(connection, visit.customer, channel, address)
    if not standing and not lifted:
        raise NotFound(f"{address} was never suppressed here.")
    return visit.page(
        "suppression_history.html",
        address=address,
        channel=channel,
        standing=standing,
        lifted=lifted,
        path=path,
    )


PAGE = Page("/{customer:int}/suppressions/history", show)
