"""Whom a batch's messages did not reach: by reason, and who they are, page after page."""

import re
from dataclasses import asdict
from urllib.parse import urlencode

from starlette.responses import Response

from caravan.api.batches import journal_list, kept
from caravan.api.spelling import among
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit
from caravan.errors import InvalidInput
from caravan.lists import Form
from caravan.queries.batch import batch_report
from caravan.queries.failures import Chosen, Place, failures
from caravan.store.database import single
from caravan.store.ledger import UNREACHED

_REASONS, _ON_A_PAGE = 50, 50
_SECONDS = 0.05  # for which the journal is read for a view, and as long again for the list of contacts
_PLACE = re.compile(r"([0-9]{1,18})-([0-9]{1,9})", re.ASCII)


async def show(visit: Visit) -> Response:
    """The page, or with `download` the list as a file: all of a step and an outcome, whatever the reason."""
    query = visit.request.query_params
    batch = await kept(visit.engine, visit.customer, visit.batch)
    async with single(visit.engine.pool) as connection:
        report = await batch_report(visit.engine, connection, visit.customer, visit.batch)
    chosen = Chosen(query.get("step") or None, query.get("outcome") or None, query.get("reason"))
    among("outcome", chosen.outcome, UNREACHED)
    among("step", chosen.step, [each.step for each in report.ledger.steps])
    form = query.get("download")
    among("download", form, Form)
    if form is not None:
        return await journal_list(visit.engine, batch, Form(form), chosen.filter, "failures")
    place = _place(query.get("after"))
    told, unsettled = await visit.watches.reasons.of(batch.id, _REASONS, seconds=_SECONDS)
    some = await failures(visit.engine, batch.id, chosen, place, _ON_A_PAGE, _SECONDS, unsettled)
    return visit.page(
        "failures.html",
        report=report,
        path=f"{HOME}/{visit.customer}/batches/{batch.id}",
        chosen=chosen,
        is_all=chosen == Chosen(),
        reasons=told,
        lines=some.lines,
        is_first=place == Place(),
        narrowed=_query(chosen),
        following=_query(chosen, some.following) if some.following else None,
        query=_query,
        chosen_of=lambda each: Chosen(each.step, each.outcome, each.words),
    )


def _query(chosen: Chosen, place: Place | None = None) -> str:
    """The address of these failures, from a place on, behind the path of the page."""
    asked = {"reason" if name == "words" else name: value for name, value in asdict(chosen).items()}
    given = {name: value for name, value in asked.items() if value is not None}
    return "?" + urlencode({**given, **({"after": str(place)} if place else {})})


def _place(text: str | None) -> Place:
    if text is None:
        return Place()
    found = _PLACE.fullmatch(text)
    if found is None:
        raise InvalidInput(f"There is no place {text!r} in this list.")
    return Place(int(found[1]), int(found[2]))


PAGE = Page("/{customer:int}/batches/{batch}/failures", show)
