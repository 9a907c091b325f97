"""Suppressions: who must not be written to; searched, added, removed, and taken from a list."""

import re
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from caravan.access import audit
from caravan.api.spelling import among
from caravan.api.spool import spooled
from caravan.api.uploads import whole_body
from caravan.console.file_form import file_of
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine.suppression_files import Format, Imported, Importer
from caravan.engine.suppressions import By, channel_names, entry
from caravan.errors import InvalidInput, NotFound
from caravan.store import suppressions as store
from caravan.store.database import single
from caravan.store.suppressions import Reason, Suppression, Wanted, Way

_ON_A_PAGE: Final = 50
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


async def show(visit: Visit) -> Response:
    """The list, with the forms."""
    return await _page(visit)


async def _page(
    visit: Visit, status: int = 200, problem: str | None = None, imported: Imported | None = None
) -> Response:
    query = visit.request.query_params
    wanted = _wanted(visit)
    async with single(visit.engine.pool) as connection:
        found = await store.page(connection, visit.customer, wanted, channel_names(visit.engine))
        has_any = bool(found) or await store.has_any(connection, visit.customer)
        lifted = _number(query.get("lifted"))
        lifted_address = await store.lifted_address(connection, visit.customer, lifted) if lifted is not None else None
    path = _path(visit)
    following = _following(path, wanted, found[-1]) if len(found) == _ON_A_PAGE else None
    return visit.page(
        "suppressions.html",
        status,
        found=found,
        wanted=wanted,
        has_any=has_any,
        lifted=lifted,
        lifted_address=lifted_address,
        added=query.get("added", ""),
        channels=channel_names(visit.engine),
        reasons=list(Reason),
        path=path,
        following=following,
        problem=problem,
        imported=imported,
        may_edit=visit.may_edit,
        customer_id=visit.customer,
    )


def _wanted(visit: Visit) -> Wanted:
    """What the address of the page asks for. Raises `InvalidInput`, with the good values."""
    query = visit.request.query_params
    channel, reason = query.get("channel") or None, query.get("reason") or None
    among("channel", channel, channel_names(visit.engine))
    among("reason", reason, Reason)
    address = query.get("address", "").strip().lower()[:1_000].replace("\0", "") or None
    after = _number(query.get("after"))
    place = (query.get("from", ""), after) if address is not None and after is not None else None
    return Wanted(_ON_A_PAGE, channel, address, None, reason, _number(query.get("before")), place)


def _number(text: str | None) -> int | None:
    return int(text) if text and _NUMBER.fullmatch(text) else None


def _following(path: str, wanted: Wanted, last: Suppression) -> str:
    pairs: list[tuple[str, object]] = [
        (name, value)
        for name, value in (("address", wanted.address), ("channel", wanted.channel), ("reason", wanted.reason))
        if value
    ]
    pairs += [("after", last.id), ("from", last.address)] if wanted.address else [("before", last.id)]
    return f"{path}?{urlencode(pairs)}"


async def submit(visit: Visit) -> Response:
    """Do what the form asks for; a file is a list to be imported."""
    if visit.request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await _import(visit)
    form = await visit.form()
    acts: dict[str, Callable[[Visit, dict[str, str]], Awaitable[Response]]] = {
        "add": _add,
        "remove": _remove,
        "undo": _undo,
    }
    act = form.get("act", "")
    among("act", act, acts)
    try:
        return await acts[act](visit, form)
    except InvalidInput as error:
        return await _page(visit, 400, problem=error.message)


async def _add(visit: Visit, form: dict[str, str]) -> Response:
    by = By(f"user {visit.known.email}", Way.CONSOLE)
    made = entry(
        channel_names(visit.engine),
        by,
        visit.engine.clock.now(),
        address=form.get("address"),
        channel=form.get("channel"),
        topic=form.get("topic"),
        detail=form.get("detail"),
    )
    async with visit.engine.pool.connection() as connection, connection.transaction():
        if await store.add(connection, visit.customer, [made]):
            await audit.record(connection, visit.actor, "suppress", made.address, {"topic": made.topic})
    return see_other(f"{_path(visit)}?{urlencode({'added': made.address})}")


async def _remove(visit: Visit, form: dict[str, str]) -> Response:
    async with visit.engine.pool.connection() as connection, connection.transaction():
        lifted = await store.lift_one(
            connection,
            visit.customer,
            _number(form.get("id")) or 0,
            who=f"user {visit.known.email}",
            source=Way.CONSOLE,
            now=visit.engine.clock.now(),
        )
        if lifted is None:
            raise NotFound("This suppression does not stand any more.")
        await audit.record(connection, visit.actor, "lift_suppression", lifted[1])
    return see_other(f"{_path(visit)}?lifted={lifted[0]}")


async def _undo(visit: Visit, form: dict[str, str]) -> Response:
    async with visit.engine.pool.connection() as connection, connection.transaction():
        address = await store.restore(connection, visit.customer, _number(form.get("id")) or 0)
        if address is None:
            raise NotFound("This was undone already.")
        await audit.record(connection, visit.actor, "restore_suppression", address)
    return see_other(f"{_path(visit)}?{urlencode({'added': address})}")


async def _import(visit: Visit) -> Response:
    """Take a list; the page says what became of it, so it is not sent on to another."""
    engine = visit.engine
    by = By(f"user {visit.known.email}", Way.IMPORT)
    importer = Importer(engine.pool, visit.customer, channel_names(engine), by, engine.clock.now())
    try:
        form = await file_of(visit.request, whole_body(visit.request, engine.settings))
        is_lines = form.name.lower().endswith((".ndjson", ".jsonl", ".json"))
        async with spooled(engine, "suppressions", form.content, "list") as file:
            with file.path.open("rb") as source:
                found = await importer.add(source, Format.NDJSON if is_lines else Format.CSV)
    except InvalidInput as error:
        return await _page(visit, 400, problem=error.message)
    counts = {"lines": found.lines, "added": found.added, "refused": found.refused}
    async with engine.pool.connection() as connection:
        await audit.record(connection, visit.actor, "import_suppressions", form.name[:200], counts)
    return await _page(visit, imported=found)


def _path(visit: Visit) -> str:
    return f"{HOME}/{visit.customer}/suppressions"


PAGE = Page("/{customer:int}/suppressions", show, submit, menu="Suppressions", menu_place=40)
