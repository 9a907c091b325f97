"""The cap of a channel: how many messages a recipient gets. Owners set it."""

import re
from dataclasses import dataclass
from http import HTTPStatus

from starlette.responses import Response

from caravan.access import audit
from caravan.access.users import Role
from caravan.console.page import Page
from caravan.console.visit import HOME, Visit, see_other
from caravan.delivery.cap import period_words
from caravan.engine.caps import make_cap, set_cap
from caravan.errors import InvalidInput, NotFound
from caravan.store import caps
from caravan.store.caps import Cap

_WHOLE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class CapForm:
    """The fields as they are written."""

    most: str = ""
    period: str = ""
    otherwise: str = "skip"

    @classmethod
    def of(cls, cap: Cap | None) -> "CapForm":
        """The form of a cap as it is now."""
        if cap is None:
            return cls()
        return cls(str(cap.most), period_words(cap.period), "wait" if cap.waits else "skip")

    def cap(self) -> Cap:
        """What the fields say. Raises `InvalidInput`."""
        if not _WHOLE.fullmatch(self.most):
            raise InvalidInput("Messages is a whole number like 3.")
        if self.otherwise not in ("skip", "wait"):
            raise InvalidInput("Choose whether others are left out or wait.")
        return make_cap(int(self.most), self.period, waits=self.otherwise == "wait")


async def show(visit: Visit) -> Response:
    """The cap as it is, and to owners the form."""
    cap = await _cap(visit)
    return _page(visit, cap, CapForm.of(cap))


async def submit(visit: Visit) -> Response:
    """Set or end the cap, with a line of the audit log in the transaction that does."""
    assert visit.customer is not None
    form, channel = await visit.form(), _channel(visit)
    filled = CapForm(form.get("most", "").strip(), form.get("period", "").strip(), form.get("otherwise", ""))
    try:
        cap = None if form.get("act") == "end" else filled.cap()
    except InvalidInput as error:
        return _page(visit, await _cap(visit), filled, HTTPStatus.BAD_REQUEST, problem=error.message)
    detail = None if cap is None else {"most": cap.most, "period": period_words(cap.period), "waits": cap.waits}
    async with visit.engine.pool.connection() as connection, connection.transaction():
        await set_cap(visit.engine, connection, visit.customer, channel, cap)
        await audit.record(connection, visit.actor, "cap", f"channel {channel}", detail)
    return see_other(f"{HOME}/{visit.customer}/channels")


async def _cap(visit: Visit) -> Cap | None:
    assert visit.customer is not None
    channel = _channel(visit)
    async with visit.engine.pool.connection() as connection:
        return (await caps.of_customer(connection, visit.customer)).get(channel)


def _channel(visit: Visit) -> str:
    """The channel that the path names. Raises `NotFound` for one that can't have a cap."""
    channel = str(visit.request.path_params["channel"])
    if channel not in {each.name for each in visit.engine.channels if each.step.reaches_people}:
        raise NotFound("There is no such channel whose messages can be capped.")
    return channel


def _page(
    visit: Visit, cap: Cap | None, fields: CapForm, status: int = HTTPStatus.OK, problem: str | None = None
) -> Response:
    return visit.page(
        "channel_cap.html",
        status,
        channel=_channel(visit),
        cap=cap,
        period=None if cap is None else period_words(cap.period),
        fields=fields,
        problem=problem,
        may_set=visit.role.allows(Role.OWNER),
        back=f"{HOME}/{visit.customer}/channels",
    )


PAGE = Page("/{customer:int}/channels/{channel}/cap", show, submit, submit_needs=Role.OWNER)
