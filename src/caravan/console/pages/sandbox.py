"""The sandbox: mails that went nowhere because no relay is set, newest first; those of the visitor's customers, and all
of them for an operator."""

import re
from urllib.parse import urlencode

from starlette.responses import Response

from caravan.console.page import Page
from caravan.console.visit import HOME, Visit
from caravan.errors import InvalidInput
from caravan.queries import sandbox
from caravan.store.database import single

PATH = f"{HOME}/sandbox"
_ON_A_PAGE = 25
_BATCH = re.compile(r"b_[0-9a-f]{20}", re.ASCII)
_LARGEST = 2**63  # no number of a message is


def allowed(visit: Visit) -> tuple[int, ...] | None:
    """The customers whose mails the visitor may see; None: all, also mails of no customer."""
    return None if visit.known.is_operator else tuple(visit.known.roles)


async def show(visit: Visit) -> Response:
    """All that the visitor may see."""
    return await show_list(visit, allowed(visit), PATH)


async def show_list(visit: Visit, customers: tuple[int, ...] | None, path: str) -> Response:
    """The page of the list that the address asks for."""
    query = visit.request.query_params
    searched = query.get("q", "").strip().replace("\0", "")
    before = _number(query.get("before"))
    is_batch = bool(_BATCH.fullmatch(searched))
    wanted = sandbox.Page(
        _ON_A_PAGE,
        before,
        containing=searched if searched and not is_batch else None,
        batch=searched if is_batch else None,
        customers=customers,
    )
    async with single(visit.engine.pool) as connection:
        found = await sandbox.list_messages(connection, wanted)
    search = {"q": searched} if searched else {}
    last = found[-1].id if len(found) == _ON_A_PAGE else None
    return visit.page(
        "sandbox.html",
        found=found,
        searched=searched,
        path=path,
        first=_address(path, search) if before else None,
        following=_address(path, search | {"before": str(last)}) if last else None,
        may_clear=visit.known.is_operator,
        of_all=customers is None,
    )


def _number(text: str | None) -> int | None:
    """Raises `InvalidInput` for what is no number of a message."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:20]) < _LARGEST):
        raise InvalidInput(f"A message is a number; {text!r} is none.")
    return int(text)


def _address(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


PAGE = Page("/sandbox", show)
