"""A customer's batches, newest first: a live list with filters."""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from urllib.parse import urlencode

from starlette.responses import Response

from caravan.api.spelling import among
from caravan.console.page import Fragments, Page
from caravan.console.rendering import macro
from caravan.console.visit import HOME, Visit
from caravan.errors import InvalidInput
from caravan.queries.listed import ListedBatch, listed
from caravan.store import batches, journeys
from caravan.store.batches import BatchState
from caravan.store.database import snapshot

_ON_A_PAGE = 25
_LARGEST = 2**63  # no number of a journey is


async def show(visit: Visit) -> Response:
    """The list, or what to do where it is empty."""
    wanted = _wanted(visit)
    async with snapshot(visit.engine.pool) as connection:
        found = await listed(visit.engine, connection, visit.customer, wanted)
        known = await journeys.list_journeys(connection, visit.customer)
    path = f"{HOME}/{visit.customer}/batches"
    last = found[-1].report.batch.id if len(found) == _ON_A_PAGE else None
    return visit.page(
        "batches.html",
        found=found,
        journeys=known,
        states=list(BatchState),
        wanted=wanted,
        path=path,
        may_edit=visit.may_edit,
        live=path + "/live" + _query(wanted),
        following=path + _query(replace(wanted, before=last)) if last else None,
        first=path + _query(replace(wanted, before=None)) if wanted.before else None,
    )


async def live(visit: Visit) -> AsyncIterator[Fragments]:
    """Each batch's row, and the whole list where batches have come or gone."""
    return _fragments(visit, _wanted(visit))


async def _fragments(visit: Visit, wanted: batches.Page) -> AsyncIterator[Fragments]:
    told: list[str] | None = None
    async for found in visit.watches.follow_page(visit.customer, wanted):
        there = [each.report.batch.id for each in found]
        if told is not None and there != told:
            yield {"batches": macro("parts.html", "rows", found, visit.customer)}
        told = there
        yield await visit.shared.of(("batches", visit.customer, wanted), found, partial(_rows, found, visit.customer))


async def _rows(found: list[ListedBatch], customer: int) -> Fragments:
    return {f"batch-{each.report.batch.id}": macro("parts.html", "row", each, customer) for each in found}


def _wanted(visit: Visit) -> batches.Page:
    """The page that the address asks for. Raises `InvalidInput`, with the good values."""
    query = visit.request.query_params
    states = [each for each in query.getlist("state") if each]
    for each in states:
        among("state", each, BatchState)
    return batches.Page(
        _ON_A_PAGE, query.get("before") or None, tuple(map(BatchState, states)), _journey(query.get("journey"))
    )


def _journey(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:20]) < _LARGEST):
        raise InvalidInput(f"A journey is a number; {text!r} is none.")
    return int(text)


def _query(wanted: batches.Page) -> str:
    """The filters, and the place to begin at, as a query."""
    pairs: list[tuple[str, object]] = [("state", each) for each in wanted.states]
    pairs += [("journey", wanted.journey)] if wanted.journey else []
    pairs += [("before", wanted.before)] if wanted.before else []
    return f"?{urlencode(pairs)}" if pairs else ""


PAGE = Page("/{customer:int}/batches", show, live=live, menu="Batches", menu_place=10)
