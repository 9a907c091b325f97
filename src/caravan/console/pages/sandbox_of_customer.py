"""The sandbox as it is linked from a customer's pages: this customer's mails."""

from starlette.responses import Response

from caravan.console.page import Page
from caravan.console.pages.sandbox import show_list
from caravan.console.visit import HOME, Visit


async def show(visit: Visit) -> Response:
    """The list."""
    return await show_list(visit, (visit.customer,), f"{HOME}/{visit.customer}/sandbox")


PAGE = Page("/{customer:int}/sandbox", show)
