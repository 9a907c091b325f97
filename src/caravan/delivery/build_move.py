"""The move that comes of a cohort's delivery, once no window of it is in the air."""

import secrets
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caravan.delivery.cohort_delivery import AGAIN, CohortDelivery, ContactOutcome, Message
from caravan.delivery.outcomes import outage_delay, record_of, retry_delay
from caravan.steps.cohort_files import file_name, scratch_file, write_part
from caravan.steps.move import Move, Passage, Retry
from caravan.store.cohorts import Part
from caravan.store.files import Draft
from caravan.store.ledger import Outcome, Record
from caravan.store.windows import JOURNAL, RECORD, Verdict, Window, gaps

_LONGEST_DELAY = 6 * 3600.0


def all_outcomes(
    delivery: CohortDelivery[Message], contacts: pa.Table, windows: list[Window], verdict: Verdict, trouble: str
) -> pa.Table:
    """One row for each contact of the cohort, also for those whom no window reached."""
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
    # Nobody is tried again. Of those in doubt nobody can say that nothing reached them.
    stopped = pc.if_else(table["doubt"], str(Outcome.UNKNOWN), str(Outcome.CANCELLED))
    outcomes = pc.if_else(pc.equal(table["outcome"], AGAIN), stopped, table["outcome"])
    return table.set_column(2, RECORD.field("outcome"), outcomes)


def build_move(delivery: CohortDelivery[Message], contacts: pa.Table, outcomes: pa.Table) -> Move:
    """The move that these outcomes make: contacts that go on, contacts that are retried, and the journal file. A
    cancelled contact does neither."""
    again, stopped = (pc.equal(outcomes["outcome"], each) for each in (AGAIN, str(Outcome.CANCELLED)))
    done = outcomes.filter(pc.invert(again))
    with Draft(delivery.tools.files) as draft:
        going = _part(delivery, draft, contacts, pc.invert(pc.or_(again, stopped)), "on")
        return Move(
            passages=[Passage(going, delivery.to)] if going else [],
            outcomes=Counter(Outcome(each) for each in done["outcome"].to_pylist()),
            records=[_journal(delivery, draft, done)] if done.num_rows else [],
            retries=list(_retries(delivery, draft, contacts, outcomes, again)),
        )


def _retries(
    delivery: CohortDelivery[Message], draft: Draft, contacts: pa.Table, outcomes: pa.Table, again: pa.ChunkedArray
) -> Iterator[Retry]:
    """Those who are tried again; those in doubt apart, since only of the others it is known that nothing came."""
    for doubt, those in ((False, pc.invert(outcomes["doubt"])), (True, outcomes["doubt"])):
        chosen = pc.and_(again, those)
        part = _part(delivery, draft, contacts, chosen, "doubt" if doubt else "again")
        if part:
            yield _retry(delivery, part, outcomes.filter(chosen), doubt=doubt)


def _part(
    delivery: CohortDelivery[Message], draft: Draft, contacts: pa.Table, chosen: pa.ChunkedArray, name: str
) -> Part | None:
    """The chosen contacts as a file, None for nobody. For everybody the cohort's own file serves."""
    count = pc.sum(chosen).as_py()
    if count == delivery.cohort.part.size:
        return delivery.cohort.part
    return write_part(delivery.tools, draft, delivery.cohort, contacts.filter(chosen), name) if count else None


def _journal(delivery: CohortDelivery[Message], draft: Draft, done: pa.Table) -> Record:
    name = file_name(delivery.cohort, "journal")
    with scratch_file(delivery.tools.scratch) as local:
        pq.write_table(done.select(JOURNAL.names), local, compression="zstd", compression_level=1)
        draft.put(local, name)
    return Record(delivery.cohort.step, name, None)


def _retry(delivery: CohortDelivery[Message], part: Part, waiting: pa.Table, *, doubt: bool) -> Retry:
    reason, _ = Counter(waiting["detail"].to_pylist()).most_common(1)[0]
    return Retry(part, delivery.tools.clock.now() + timedelta(seconds=_delay(delivery, waiting)), reason, doubt)


def _delay(delivery: CohortDelivery[Message], waiting: pa.Table) -> float:
    """Seconds until the next attempt: what the other side asked for, else ever longer."""
    asked = waiting["after"].to_pylist()
    grown = retry_delay(delivery) * (0.9 + secrets.randbelow(200) / 1000)
    return min(max(grown if each is None else each for each in asked), _LONGEST_DELAY)
