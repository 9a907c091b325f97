"""The editor of a journey: its text with problems at their lines, its graph, previews and tests of its messages, and
publishing, which asks first."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from http import HTTPStatus

from starlette.responses import Response

from caravan.access import audit
from caravan.access.test_sends import send_as
from caravan.api.problems import status_of
from caravan.api.spelling import among
from caravan.console import editing
from caravan.console.difference import differences
from caravan.console.editing import Found, Text
from caravan.console.page import Page
from caravan.console.visit import Visit, see_other
from caravan.delivery.result import Result
from caravan.engine.publish import publish_draft, read_draft
from caravan.errors import CaravanError, Conflict, Forbidden, InvalidInput
from caravan.queries.preview import Preview, pick, previews
from caravan.queries.sandbox import SMS
from caravan.store import journeys
from caravan.store.database import snapshot


async def show(visit: Visit) -> Response:
    """The newest version's text, or a sample for a new journey."""
    if not visit.may_edit:
        raise Forbidden("Only an editor may edit a journey; you are viewer here.")
    text = await editing.opened(visit)
    done = visit.request.query_params.get("published") == str(text.base) and text.base > 0
    said = f"Version {text.base} is published. Contacts that enter from now on take it." if done else None
    return await _editor(visit, text, said=said)


async def submit(visit: Visit) -> Response:
    """Do what the button says. Nothing but publishing and a test has any effect beyond the page."""
    acts: dict[str, Callable[[Visit, Text], Awaitable[Response]]] = {
        "check": _check,
        "pick": _pick,
        "preview": _preview,
        "publish": _ask,
        "confirm": _publish,
    }
    form = await visit.form(editing.LARGEST_FORM)
    text = editing.posted(visit, form)
    try:
        if (step := form.get("test")) is not None:
            return await _test(visit, text, step, form.get(f"number-{step}", "").strip())
        act = form.get("act", "check")
        among("act", act, acts)
        return await acts[act](visit, text)
    except (InvalidInput, Conflict) as error:
        return await _editor(visit, text, status_of(error), problem=error.message)


async def _check(visit: Visit, text: Text) -> Response:
    return await _editor(visit, text)


async def _pick(visit: Visit, text: Text) -> Response:
    """Take a contact of an earlier batch to look at the messages for."""
    if not text.contact_id:
        raise InvalidInput("Say the id of the contact to use.")
    try:
        contact = await pick(visit.engine, visit.customer, text.contact_id)
    except CaravanError as error:
        return await _editor(visit, text, status_of(error), problem=error.message)
    return await _preview(visit, replace(text, contact=editing.shown(contact)))


async def _preview(visit: Visit, text: Text) -> Response:
    return await _editor(visit, text, preview=True)


async def _test(visit: Visit, text: Text, step: str, number: str) -> Response:
    """Send the message of a step to the visitor, by mail or to this number, as the contact would get it."""
    found = await editing.look(visit.engine, text)
    if found.journey is None:
        problem = "Nothing was sent: the text has problems."
        return await _editor(visit, text, HTTPStatus.UNPROCESSABLE_ENTITY, found=found, problem=problem)
    contact = editing.read_contact(text.contact, visit.engine.settings.max_row_bytes)
    numbers = {step: number}
    try:
        is_text = found.journey.step(step).kind == SMS
        to = number if is_text else visit.known.email
        sent = await send_as(visit.engine, visit.actor, found.journey, step, contact, to)
    except CaravanError as error:
        status = status_of(error)
        return await _editor(visit, text, status, found=found, preview=True, problem=error.message, numbers=numbers)
    if sent.result is not Result.SENT:
        problem = f"The test of {step} to {to} failed: {sent.detail}"
        status = HTTPStatus.BAD_GATEWAY
        return await _editor(visit, text, status, found=found, preview=True, problem=problem, numbers=numbers)
    said = f"The test of {step} was sent to {to}: {sent.detail}.{_nowhere(visit, is_text=is_text)}"
    return await _editor(visit, text, found=found, preview=True, said=said, numbers=numbers)


def _nowhere(visit: Visit, *, is_text: bool) -> str:
    """What is to be added where a test went into the sandbox."""
    settings = visit.engine.settings
    if settings.sms_url if is_text else settings.smtp_url:
        return ""
    seen = "" if visit.known.is_operator else " Only the operator sees it there, since a test belongs to no batch."
    return f" No {'SMS gateway' if is_text else 'relay'} is set, so it is in the sandbox and went nowhere.{seen}"


async def _ask(visit: Visit, text: Text) -> Response:
    """What publishing would change, and whom it concerns."""
    found = await editing.look(visit.engine, text)
    if found.journey is None:
        problem = "This can't be published before its problems are solved."
        return await _editor(visit, text, HTTPStatus.UNPROCESSABLE_ENTITY, found=found, problem=problem)
    async with snapshot(visit.engine.pool) as connection:
        newest = await editing.newest(connection, visit.customer, text.journey)
        journeys.check_base(text.journey, newest.version if newest else 0, text.base)
        before = source = None
        if newest is not None:
            before = await visit.engine.journeys.get(connection, visit.customer, text.journey, newest.version)
            source = await journeys.source_of(connection, newest, visit.customer)
        standing = await journeys.standing(connection, visit.customer, text.journey)
        entering = await journeys.before_entry(connection, visit.customer, text.journey)
    if source is not None and source.replace("\r\n", "\n") == text.source:
        raise InvalidInput(f"Nothing has changed since version {text.base}; there is nothing to publish.")
    changes = await asyncio.to_thread(differences, before, found.journey) if before else []
    return visit.page(
        "journey_publish.html",
        text=text,
        path=editing.path_of(visit),
        journey=found.journey,
        warnings=found.warnings,
        changes=changes,
        standing=standing,
        entering=entering,
    )


async def _publish(visit: Visit, text: Text) -> Response:
    """Publish, unless another version came meanwhile, with a line of the audit log in the same transaction."""
    draft = await read_draft(visit.engine, visit.customer, text.source, text.journey)
    async with visit.engine.pool.connection() as connection, connection.transaction():
        made = await publish_draft(visit.engine, connection, visit.customer, draft, text.base)
        if made.version != text.base:
            detail = {"version": made.version}
            await audit.record(connection, visit.actor, "publish", f"journey {made.journey}", detail)
    return see_other(f"{editing.path_of(visit)}/edit?published={made.version}")


async def _editor(
    visit: Visit,
    text: Text,
    status: int = HTTPStatus.OK,
    *,
    found: Found | None = None,
    preview: bool = False,
    problem: str | None = None,
    said: str | None = None,
    numbers: Mapping[str, str] | None = None,
) -> Response:
    """The page with this text: what a check finds in it, and, if asked for, the messages of its contact."""
    found = found or await editing.look(visit.engine, text)
    text = editing.with_contact(text, found, visit.known.email)
    shown: list[Preview] = []
    if preview and found.journey is not None:
        try:
            contact = editing.read_contact(text.contact, visit.engine.settings.max_row_bytes)
            shown = await previews(visit.engine, visit.customer, found.journey, contact)
        except InvalidInput as error:
            status, problem = HTTPStatus.BAD_REQUEST, error.message
    return visit.page(
        "journey_edit.html",
        status,
        text=text,
        path=editing.path_of(visit),
        found=found,
        graph=await editing.drawn(found),
        previews=shown,
        asked=preview,
        problem=problem,
        said=said,
        numbers=numbers or {},
        unsaved=visit.request.method == "POST",
    )


PAGE = Page("/{customer:int}/journeys/{journey:int}/edit", show, submit)
