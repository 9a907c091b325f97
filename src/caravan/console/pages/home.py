"""The way in: on to the batches of the visitor's first customer."""

from starlette.responses import Response

from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other


async def show(visit: Visit) -> Response:
    """On to the batches, or what to do where the visitor has no customer."""
    roles = visit.known.roles
    return see_other(f"{HOME}/{min(roles)}/batches") if roles else visit.page("home.html")


PAGE = Page("", show)
