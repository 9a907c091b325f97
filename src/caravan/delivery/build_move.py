"""The move that comes of a cohort's delivery, once no window of it is in flight."""

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caravan.delivery.cohort_delivery import CohortDelivery, ContactOutcome
from caravan.delivery.envelope import Message
from caravan.delivery.outcomes import outage_delay, record_of, retry_delay
from caravan.steps.cohort_files import file_name, scratch_file, write_part
from caravan.steps.move import Move, Passage, Retry, Standing
from caravan.store.cohorts import NEVER, Part
from caravan.store.files import Draft
from caravan.store.journal import AGAIN, LATER, RECORD, Record, still_there, write_journal
from caravan.store.ledger import Outcome
from caravan.store.windows import Verdict, Window, gaps

_LONGEST_DELAY = 6 * 3600.0
_MOMENTS = 32  # at which the contacts of one cohort that stand may be due


def all_outcomes(
    delivery: CohortDelivery[Message], contacts: pa.Table, windows: list[Window], verdict: Verdict, trouble: str
) -> pa.Table:
    """One row for each contact of the cohort, also for those that no window reached."""
    now = delivery.tools.clock.now()
    cancelled = verdict is Verdict.CANCELLED
    rest = (
        ContactOutcome(Outcome.CANCELLED, "", now)
        if cancelled
        else ContactOutcome(AGAIN, trouble, now, outage_delay(delivery))
    )
    pieces = {each.first: each.record for each in windows}
    for first, size in gaps(windows, contacts.num_rows, contacts.num_rows):
        pieces[first] = record_of(delivery, contacts, first, [rest] * size)
    table = pa.concat_tables(pieces[first] for first in sorted(pieces)).combine_chunks()
    if not cancelled:
        return table
    # No contact is tried again. Of those in doubt it can't be said that nothing reached them.
    stopped = pc.if_else(table["doubt"], str(Outcome.UNKNOWN), str(Outcome.CANCELLED))
    outcomes = pc.if_else(still_there(table), stopped, table["outcome"])
    return table.set_column(2, RECORD.field("outcome"), outcomes)


def build_move(delivery: CohortDelivery[Message], contacts: pa.Table, outcomes: pa.Table) -> Move:
    """The move that these outcomes make: contacts that go on, that are retried, that stand, and the journal file. A
    cancelled contact does none of these."""
    stays, stopped = still_there(outcomes), pc.equal(outcomes["outcome"], str(Outcome.CANCELLED))
    done = outcomes.filter(pc.invert(stays))
    with Draft(delivery.tools.files) as draft:
        going = _part(delivery, draft, contacts, pc.invert(pc.or_(stays, stopped)), "on")
        return Move(
            passages=[Passage(going, delivery.to)] if going else [],
            outcomes=Counter(Outcome(each) for each in done["outcome"].to_pylist()),
            records=[_journal(delivery, draft, done)] if done.num_rows else [],
            retries=list(_retries(delivery, draft, contacts, outcomes)),
            standing=list(_standing(delivery, draft, contacts, outcomes)),
        )


def _retries(
    delivery: CohortDelivery[Message], draft: Draft, contacts: pa.Table, outcomes: pa.Table
) -> Iterator[Retry]:
    """Those that are tried again; those in doubt apart, since only of the others it is known that nothing came."""
    again = pc.equal(outcomes["outcome"], AGAIN)
    for doubt, those in ((False, pc.invert(outcomes["doubt"])), (True, outcomes["doubt"])):
        chosen = pc.and_(again, those)
        part = _part(delivery, draft, contacts, chosen, "doubt" if doubt else "again")
        if part:
            yield _retry(delivery, part, outcomes.filter(chosen), doubt=doubt)


def _standing(
    delivery: CohortDelivery[Message], draft: Draft, contacts: pa.Table, outcomes: pa.Table
) -> Iterator[Standing]:
    """Those that stand, by when they are due and by doubt."""
    if not pc.any(pc.equal(outcomes["outcome"], LATER)).as_py():
        return
    places = defaultdict[tuple[datetime, bool], list[int]](list)
    for index, (due, doubt) in enumerate(zip(_due_times(outcomes), outcomes["doubt"].to_pylist(), strict=True)):
        if due is not None:
            places[due, doubt].append(index)
    for (due, doubt), those in sorted(places.items()):
        chosen = pa.array(np.isin(np.arange(outcomes.num_rows), those))
        part = _part(delivery, draft, contacts, chosen, "later")
        assert part is not None
        yield Standing(part, None if due == NEVER else due, _reason(outcomes.filter(chosen)), doubt)


def _due_times(outcomes: pa.Table) -> list[datetime | None]:
    """When each contact that stands is due, NEVER where only an event ends it; None for all others. No more than
    _MOMENTS different times, since each makes a cohort: where there are more, neighbours share the later one."""
    rows = zip(*(outcomes[name].to_pylist() for name in ("outcome", "at", "after")), strict=True)
    due = [
        None if outcome != LATER else NEVER if after is None else at + timedelta(seconds=after)
        for outcome, at, after in rows
    ]
    moments = sorted({each for each in due if each is not None and each != NEVER})
    share = max(1, -(-len(moments) // _MOMENTS))
    last = {
        each: moments[first : first + share][-1]
        for first in range(0, len(moments), share)
        for each in moments[first : first + share]
    }
    return [None if each is None else last.get(each, each) for each in due]


def _part(
    delivery: CohortDelivery[Message], draft: Draft, contacts: pa.Table, chosen: pa.ChunkedArray, name: str
) -> Part | None:
    """The chosen contacts as a file, None for none. For all of them the cohort's own file serves."""
    count = pc.sum(chosen).as_py()
    if count == delivery.cohort.part.size:
        return delivery.cohort.part
    return write_part(delivery.tools, draft, delivery.cohort, contacts.filter(chosen), name) if count else None


def _journal(delivery: CohortDelivery[Message], draft: Draft, done: pa.Table) -> Record:
    name = file_name(delivery.cohort, "journal")
    with scratch_file(delivery.tools.scratch) as local:
        write_journal(done, local)
        draft.put(local, name)
    return Record(delivery.cohort.step, name, None)


def _retry(delivery: CohortDelivery[Message], part: Part, waiting: pa.Table, *, doubt: bool) -> Retry:
    due = delivery.tools.clock.now() + timedelta(seconds=_delay(delivery, waiting))
    return Retry(part, due, _reason(waiting), doubt)


def _reason(waiting: pa.Table) -> str:
    """The one that most of them have."""
    ((reason, _),) = Counter(waiting["detail"].to_pylist()).most_common(1)
    return str(reason)


def _delay(delivery: CohortDelivery[Message], waiting: pa.Table) -> float:
    """Seconds until the next attempt: what the other side asked for, else ever longer."""
    asked = waiting["after"].to_pylist()
    grown = retry_delay(delivery) * (0.9 + secrets.randbelow(200) / 1000)
    return min(max(grown if each is None else each for each in asked), _LONGEST_DELAY)
