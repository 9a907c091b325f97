"""The audit log of a customer: who did what to what, when and from where; filters, pages and export."""

from urllib.parse import urlencode

from starlette.responses import Response

from caravan.access import audit
from caravan.access.audit import Filter
from caravan.access.audit_export import export, read_filter
from caravan.api.spelling import among
from caravan.api.streams import begun
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit
from caravan.errors import Forbidden, InvalidInput
from caravan.lists import Form
from caravan.store.database import single

_ON_A_PAGE = 50
_LARGEST = 2**63
_FILTERS = ("who", "act", "from", "to", "all")


async def show(visit: Visit) -> Response:
    """The list, or its export as a file; for owners only."""
    query = visit.request.query_params
    asked = {name: query.get(name, "").strip() for name in _FILTERS if query.get(name, "").strip()}
    form = query.get("format")
    if not visit.may_own:
        if form is not None:
            raise Forbidden(f"Only an owner may export the audit log; you are {visit.role} here.")
        return visit.page("settings_audit.html", is_owner=False, role=visit.role, path=_path(visit))
    customer = None if "all" in asked and visit.known.is_operator else visit.customer
    wanted = read_filter(asked.get("who"), asked.get("act"), asked.get("from"), asked.get("to"))
    if form is not None:
        among("format", form, Form)
        return await _file(visit, customer, wanted, Form(form))
    return await _list(visit, customer, wanted, asked)


async def _list(visit: Visit, customer: int | None, wanted: Filter, asked: dict[str, str]) -> Response:
    before = _number(visit.request.query_params.get("before"))
    async with single(visit.engine.pool) as connection:
        found = await audit.entries(connection, customer, before=before, limit=_ON_A_PAGE + 1, wanted=wanted)
        actors = await audit.actors(connection, visit.customer)
        acts = await audit.acts(connection, visit.customer)
    page = found[:_ON_A_PAGE]
    path = _path(visit)
    return visit.page(
        "settings_audit.html",
        is_owner=True,
        is_operator=visit.known.is_operator,
        everything=customer is None,
        found=page,
        asked=asked,
        actors=actors,
        acts=acts,
        path=path,
        exports=[(each.upper(), f"{path}?{urlencode({**asked, 'format': each})}") for each in Form],
        following=f"{path}?{urlencode({**asked, 'before': page[-1].id})}" if len(found) > _ON_A_PAGE else None,
        first=f"{path}?{urlencode(asked)}" if before is not None else None,
    )


async def _file(visit: Visit, customer: int | None, wanted: Filter, form: Form) -> Response:
    name = f"audit-{visit.engine.clock.now():%Y-%m-%d}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return await begun(export(visit.engine.pool, customer, wanted, form), form.media, headers)


def _number(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:20]) < _LARGEST):
        raise InvalidInput(f"'before' is the number of an entry; {text!r} is none.")
    return int(text)


def _path(visit: Visit) -> str:
    return f"{HOME}/{visit.customer}/settings/audit"


PAGE = Page("/{customer:int}/settings/audit", show)
