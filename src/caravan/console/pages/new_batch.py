"""A new batch: choose the journey, and a file or the URL of one. It is opened so that it is held once it is read."""

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.responses import Response

from caravan.access import audit
from caravan.access.users import Role
from caravan.addresses import check_url
from caravan.console.guard import policy
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine import direct
from caravan.engine.start import open_download, open_upload
from caravan.errors import CaravanError, Forbidden, InvalidInput
from caravan.settings import Uploads
from caravan.store import journeys
from caravan.store.batches import Batch
from caravan.store.database import Connection, single

_LARGEST = 2**63  # no number of a journey is


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the form says, as it was written."""

    journey: str = ""
    url: str = ""
    expires: str = ""


async def show(visit: Visit) -> Response:
    """The form; what to do first where no journey is published. Raises `Forbidden` for those who may not start one."""
    if not visit.may_edit:
        raise Forbidden(f"Only an {Role.EDITOR} may start a batch; you are {visit.role} here.")
    return await _form(visit, Wanted(visit.request.query_params.get("journey", "")))


async def submit(visit: Visit) -> Response:
    """Open the batch, and go on to its page, which takes the file."""
    form = await visit.form()
    wanted = Wanted(*(form.get(name, "").strip() for name in ("journey", "url", "expires")))
    try:
        async with visit.engine.pool.connection() as connection, connection.transaction():
            batch = await _open(visit, connection, wanted)
    except CaravanError as error:
        return await _form(visit, wanted, error.message)
    return see_other(f"{HOME}/{visit.customer}/new/{batch.id}")


async def _open(visit: Visit, connection: Connection, wanted: Wanted) -> Batch:
    """Open the batch, with a line of the audit log. Raises `InvalidInput`, or `NotFound` for no journey of theirs."""
    number = wanted.journey
    if not (number.isascii() and number.isdigit() and 0 < int(number[:20]) < _LARGEST):
        raise InvalidInput("Choose the journey that the contacts are to enter.")
    journey, expires = int(number), wanted.expires or None
    detail: dict[str, object] = {"journey": journey, "hold": True}
    if expires is not None:
        detail.update(expires=expires)
    engine, customer = visit.engine, visit.customer
    if wanted.url:
        check_url(wanted.url, allow_private=True)  # whether it may be dialled shows when it is
        batch = await open_download(engine, connection, customer, journey, wanted.url, hold=True, expires=expires)
    else:
        batch = await open_upload(engine, connection, customer, journey, hold=True, expires=expires)
    await audit.record(connection, visit.actor, "open", f"batch {batch.id}", detail)
    return batch


async def _form(visit: Visit, wanted: Wanted, problem: str | None = None) -> Response:
    async with single(visit.engine.pool) as connection:
        known = await journeys.list_journeys(connection, visit.customer)
    answer = visit.page(
        "new_batch.html",
        HTTPStatus.BAD_REQUEST if problem else HTTPStatus.OK,
        journeys=known,
        wanted=wanted,
        problem=problem,
        path=f"{HOME}/{visit.customer}/new",
    )
    return await with_uploads(visit, answer)


async def _store_origin(visit: Visit) -> str:
    """Where the store takes direct uploads: the same for all batches."""
    url = urlsplit(await direct.upload_url(visit.engine, "none"))
    return f"{url.scheme}://{url.netloc}"


async def with_uploads(visit: Visit, answer: Response) -> Response:
    """A page whose scripts may upload a file: to this origin, and where uploads are direct, to the store's."""
    if visit.engine.settings.uploads is Uploads.DIRECT:
        origin = await _store_origin(visit)
        answer.headers["Content-Security-Policy"] = policy(f"'self' {origin}")
    return answer


PAGE = Page("/{customer:int}/new", show, submit)
