"""What a reply, or the trace of a sender that is gone, means for a contact, as a window's record keeps it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa

from caravan.delivery.cohort_delivery import CohortDelivery, ContactOutcome
from caravan.delivery.decisions import Later, Skip
from caravan.delivery.envelope import Message
from caravan.delivery.result import Result, SendResult
from caravan.delivery.trace import Mark
from caravan.journeys.fields import OnUnknown
from caravan.store.journal import AGAIN, LATER, RECORD
from caravan.store.ledger import Outcome

_OUTAGE_DELAY, _LONGEST_OUTAGE_DELAY = 5.0, 300.0  # a relay that is back should not be left alone for hours
_SOONEST = 1.0  # seconds until a gate is asked again; of one that says "later" about a time that is over, not at once
_OUTCOMES = {
    Result.SENT: Outcome.SENT,
    Result.FAILED: Outcome.FAILED,
    Result.UNSUPPORTED: Outcome.UNSUPPORTED_ADDRESS,
    Result.UNKNOWN: Outcome.UNKNOWN,
}


def outcome_of(sent: SendResult, delivery: CohortDelivery[Message], now: datetime) -> ContactOutcome:
    """What a reply makes of the contact that it is about."""
    kind = sent.result
    resend = kind is Result.UNKNOWN and delivery.on_unknown is OnUnknown.RESEND
    if kind in _OUTCOMES and not resend:
        return ContactOutcome(_OUTCOMES[kind], sent.detail, now, saved=sent.saved)
    if _exhausted(delivery, now):
        given_up = f"given up after {delivery.cohort.attempt} attempts: {sent.detail}"
        return ContactOutcome(Outcome.UNKNOWN if resend else Outcome.FAILED, given_up, now)
    if kind is Result.UNREACHABLE and delivery.one_place:
        return ContactOutcome(AGAIN, sent.detail, now, outage_delay(delivery), outage=True)
    if sent.busy and delivery.one_place and not resend:
        return ContactOutcome(AGAIN, sent.detail, now, _asked_delay(sent, delivery), outage=True)
    return ContactOutcome(AGAIN, sent.detail, now, _asked_delay(sent, delivery), doubt=resend)


def _asked_delay(sent: SendResult, delivery: CohortDelivery[Message]) -> float | None:
    """What the other side asked for, but never sooner than the own backoff: it would be asked again and again."""
    return None if sent.retry_after is None else max(sent.retry_after, retry_delay(delivery))


def outcome_of_decision(decision: Skip | Later, now: datetime, expires: datetime | None = None) -> ContactOutcome:
    """What becomes of a contact whose delivery a gate did not let through. It stands no longer than until `expires`,
    when it is too late for it."""
    if isinstance(decision, Skip):
        return ContactOutcome(decision.outcome, decision.reason, now)
    until = min(filter(None, (decision.until, expires)), default=None)
    after = None if until is None else max((until - now).total_seconds(), _SOONEST)
    return ContactOutcome(LATER, decision.reason, now, after)


def _in_doubt(outcome: ContactOutcome) -> ContactOutcome:
    """The outcome of a contact that an earlier try may have reached: that this one failed does not make it untrue."""
    if outcome.outcome in (Outcome.SENT, Outcome.UNKNOWN):
        return outcome
    if outcome.outcome in (AGAIN, LATER):
        return replace(outcome, doubt=True)
    detail = "; ".join(filter(None, ["an earlier attempt may have arrived", outcome.detail]))
    return replace(outcome, outcome=Outcome.UNKNOWN, detail=detail)


def retry_delay(delivery: CohortDelivery[Message]) -> float:
    """Seconds until the next attempt where the other side did not say; doubles with each attempt."""
    return delivery.tools.pacing.retry_delay * 2.0 ** min(delivery.cohort.attempt - 1, 16)


def outage_delay(delivery: CohortDelivery[Message]) -> float:
    """Seconds until a channel that was away is tried again."""
    return min(_OUTAGE_DELAY * 2.0 ** min(delivery.cohort.attempt - 1, 16), _LONGEST_OUTAGE_DELAY)


def _exhausted(delivery: CohortDelivery[Message], now: datetime) -> bool:
    since = delivery.cohort.first_tried_at
    return since is not None and now - since >= timedelta(hours=delivery.tools.pacing.retry_hours)


def outcome_of_mark(mark: Mark, on_unknown: OnUnknown, now: datetime) -> ContactOutcome:
    """What becomes of a contact at which a sender that is gone left this mark: nothing is sent again blindly
    (guarantee 3)."""
    match mark:
        case Mark.SENT:
            return ContactOutcome(Outcome.SENT, "accepted just before the sender stopped", now)
        case Mark.FAILED:
            return ContactOutcome(Outcome.FAILED, "refused just before the sender stopped", now)
        case Mark.UNDER_WAY if on_unknown is OnUnknown.SKIP:
            return ContactOutcome(Outcome.UNKNOWN, "the sender stopped while this was under way", now)
        case Mark.UNDER_WAY:
            return ContactOutcome(AGAIN, "the sender stopped while this was under way", now, after=0, doubt=True)
        case _:
            return ContactOutcome(AGAIN, "the sender stopped before this was sent", now, after=0)


def record_of(
    delivery: CohortDelivery[Message], contacts: pa.Table, first: int, outcomes: list[ContactOutcome]
) -> pa.Table:
    """The record (RECORD) of a window that begins at contact `first`: what became of each."""
    people = contacts.slice(first, len(outcomes))
    if delivery.cohort.doubt:
        outcomes = [_in_doubt(outcome) for outcome in outcomes]
    columns = [
        people["line"].combine_chunks(),
        people["id"].combine_chunks(),
        pa.array([str(outcome.outcome) for outcome in outcomes], pa.string()),
        pa.array([outcome.at for outcome in outcomes], RECORD.field("at").type),
        pa.array([outcome.detail for outcome in outcomes], pa.string()),
        pa.array([outcome.after for outcome in outcomes], pa.float64()),
        pa.array([outcome.doubt for outcome in outcomes], pa.bool_()),
        pa.array([outcome.saved for outcome in outcomes], pa.string()),
    ]
    return pa.table(columns, schema=RECORD)
