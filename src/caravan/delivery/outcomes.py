"""What a reply, or the trace of a sender that is gone, means for a contact, as a window's record keeps it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa

from caravan.channels.result import Delivery, Result
from caravan.delivery.cohort_delivery import AGAIN, Errand, Fate, Message
from caravan.delivery.trace import Mark
from caravan.journeys.fields import OnUnknown
from caravan.store.ledger import Outcome
from caravan.store.windows import RECORD

_OUTAGE_DELAY, _LONGEST_OUTAGE_DELAY = 5.0, 300.0  # a relay that is back should not be left alone for hours
_OUTCOMES = {
    Result.SENT: Outcome.SENT,
    Result.FAILED: Outcome.FAILED,
    Result.UNSUPPORTED: Outcome.UNSUPPORTED_ADDRESS,
    Result.UNKNOWN: Outcome.UNKNOWN,
}


def fate_of(delivery: Delivery, errand: Errand[Message], now: datetime) -> Fate:
    """What a reply makes of the contact that it is about."""
    result = delivery.result
    resend = result is Result.UNKNOWN and errand.on_unknown is OnUnknown.RESEND
    if result in _OUTCOMES and not resend:
        return Fate(_OUTCOMES[result], delivery.detail, now)
    if _exhausted(errand, now):
        given_up = f"given up after {errand.cohort.attempt} attempts: {delivery.detail}"
        return Fate(Outcome.UNKNOWN if resend else Outcome.FAILED, given_up, now)
    if result is Result.UNREACHABLE and errand.one_place:
        return Fate(AGAIN, delivery.detail, now, outage_delay(errand), outage=True)
    return Fate(AGAIN, delivery.detail, now, delivery.retry_after, doubt=resend)


def _in_doubt(fate: Fate) -> Fate:
    """The fate of a contact whom an earlier try may have reached: that this one failed does not make it untrue."""
    if fate.outcome in (Outcome.SENT, Outcome.UNKNOWN):
        return fate
    if fate.outcome == AGAIN:
        return replace(fate, doubt=True)
    detail = "; ".join(filter(None, ["an earlier attempt may have arrived", fate.detail]))
    return replace(fate, outcome=Outcome.UNKNOWN, detail=detail)


def outage_delay(errand: Errand[Message]) -> float:
    """Seconds until a channel that was away is tried again."""
    return min(_OUTAGE_DELAY * 2.0 ** min(errand.cohort.attempt - 1, 16), _LONGEST_OUTAGE_DELAY)


def _exhausted(errand: Errand[Message], now: datetime) -> bool:
    since = errand.cohort.first_tried_at
    return since is not None and now - since >= timedelta(hours=errand.tools.pacing.retry_hours)


def fate_of_mark(mark: Mark, on_unknown: OnUnknown, now: datetime) -> Fate:
    """What becomes of a contact at whom a sender who is gone left this mark: nothing is sent again blindly (law 3)."""
    match mark:
        case Mark.SENT:
            return Fate(Outcome.SENT, "accepted just before the sender stopped", now)
        case Mark.FAILED:
            return Fate(Outcome.FAILED, "refused just before the sender stopped", now)
        case Mark.UNDER_WAY if on_unknown is OnUnknown.SKIP:
            return Fate(Outcome.UNKNOWN, "the sender stopped while this was under way", now)
        case Mark.UNDER_WAY:
            return Fate(AGAIN, "the sender stopped while this was under way", now, after=0, doubt=True)
        case _:
            return Fate(AGAIN, "the sender stopped before this was sent", now, after=0)


def record_of(errand: Errand[Message], contacts: pa.Table, first: int, fates: list[Fate]) -> pa.Table:
    """The record (RECORD) of a window that begins at contact `first`: what became of each."""
    people = contacts.slice(first, len(fates))
    if errand.cohort.doubt:
        fates = [_in_doubt(fate) for fate in fates]
    columns = [
        people["line"].combine_chunks(),
        people["id"].combine_chunks(),
        pa.array([str(fate.outcome) for fate in fates], pa.string()),
        pa.array([fate.at for fate in fates], RECORD.field("at").type),
        pa.array([fate.detail for fate in fates], pa.string()),
        pa.array([fate.after for fate in fates], pa.float64()),
        pa.array([fate.doubt for fate in fates], pa.bool_()),
    ]
    return pa.table(columns, schema=RECORD)
