"""Forget a contact: what that means, before it is confirmed, and then how far it is."""

from urllib.parse import urlencode

from starlette.responses import Response

from caravan.access import audit
from caravan.access.users import Role
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine import erasure
from caravan.errors import Forbidden, InvalidInput
from caravan.store import erasures
from caravan.store.database import Connection, single


async def show(visit: Visit) -> Response:
    """The sentences and the button; with `erasure`, how far one is."""
    if not visit.may_own:
        raise Forbidden(f"Only an owner may do this; you are {visit.role} here.")
    number, found = visit.request.query_params.get("erasure"), None
    if number is not None:
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise InvalidInput(f"{number[:50]!r} is no number of an erasure.")
        async with single(visit.engine.pool) as connection:
            found = await erasures.of_customer(connection, visit.customer, int(number))
    contact = visit.request.query_params.get("id", "")
    home = f"{HOME}/{visit.customer}/contacts"
    back = f"{home}?{urlencode({'id': contact})}" if contact else home
    return visit.page("contact_forget.html", id=contact, erasure=found, home=home, back=back)


async def submit(visit: Visit) -> Response:
    """Do it."""

    async def note(connection: Connection, number: int) -> None:
        await audit.record(connection, visit.actor, "forget_contact", f"erasure {number}")

    contact = (await visit.form()).get("id", "")
    found = await erasure.request(visit.engine, visit.customer, contact, note)
    return see_other(f"{HOME}/{visit.customer}/contacts/forget?erasure={found.id}")


PAGE = Page("/{customer:int}/contacts/forget", show, submit, submit_needs=Role.OWNER)
