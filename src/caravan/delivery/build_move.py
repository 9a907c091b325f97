"""The move that comes of a cohort's delivery, once no window of it is in the air."""

import secrets
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caravan.delivery.cohort_delivery import AGAIN, Errand, Fate, Message
from caravan.delivery.outcomes import outage_delay, record_of
from caravan.steps.cohort_files import file_name, scratch_file, write_part
from caravan.steps.move import Move, Passage, Stay
from caravan.store.cohorts import Part
from caravan.store.files import Draft
from caravan.store.ledger import Outcome, Record
from caravan.store.windows import JOURNAL, RECORD, Verdict, Window, gaps

_LONGEST_DELAY = 6 * 3600.0


def all_fates(
    errand: Errand[Message], contacts: pa.Table, windows: list[Window], verdict: Verdict, trouble: str
) -> pa.Table:
    """One row for each contact of the cohort, also for those whom no window reached."""
    now = errand.tools.clock.now()
    cancelled = verdict is Verdict.CANCELLED
    rest = Fate(Outcome.CANCELLED, "", now) if cancelled else Fate(AGAIN, trouble, now, outage_delay(errand))
    pieces = {each.first: each.record for each in windows}
    for first, size in gaps(windows, contacts.num_rows, contacts.num_rows):
        pieces[first] = record_of(errand, contacts, first, [rest] * size)
    table = pa.concat_tables(pieces[first] for first in sorted(pieces)).combine_chunks()
    if not cancelled:
        return table
    # Nobody is tried again. Of those in doubt nobody can say that nothing reached them.
    stopped = pc.if_else(table["doubt"], str(Outcome.UNKNOWN), str(Outcome.CANCELLED))
    outcomes = pc.if_else(pc.equal(table["outcome"], AGAIN), stopped, table["outcome"])
    return table.set_column(2, RECORD.field("outcome"), outcomes)


def conclude(errand: Errand[Message], contacts: pa.Table, fates: pa.Table) -> Move:
    """The move that these fates make: who goes on, who stays, and the journal file. Who is cancelled does neither."""
    again, stopped = (pc.equal(fates["outcome"], each) for each in (AGAIN, str(Outcome.CANCELLED)))
    done = fates.filter(pc.invert(again))
    with Draft(errand.tools.files) as draft:
        going = _part(errand, draft, contacts, pc.invert(pc.or_(again, stopped)), "on")
        return Move(
            passages=[Passage(going, errand.to)] if going else [],
            outcomes=Counter(Outcome(each) for each in done["outcome"].to_pylist()),
            records=[_journal(errand, draft, done)] if done.num_rows else [],
            stays=list(_stays(errand, draft, contacts, fates, again)),
        )


def _stays(
    errand: Errand[Message], draft: Draft, contacts: pa.Table, fates: pa.Table, again: pa.ChunkedArray
) -> Iterator[Stay]:
    """Those who are tried again; those in doubt apart, since only of the others it is known that nothing came."""
    for doubt, those in ((False, pc.invert(fates["doubt"])), (True, fates["doubt"])):
        chosen = pc.and_(again, those)
        part = _part(errand, draft, contacts, chosen, "doubt" if doubt else "again")
        if part:
            yield _stay(errand, part, fates.filter(chosen), doubt=doubt)


def _part(errand: Errand[Message], draft: Draft, contacts: pa.Table, chosen: pa.ChunkedArray, name: str) -> Part | None:
    """The chosen contacts as a file, None for nobody. For everybody the cohort's own file serves."""
    count = pc.sum(chosen).as_py()
    if count == errand.cohort.part.size:
        return errand.cohort.part
    return write_part(errand.tools, draft, errand.cohort, contacts.filter(chosen), name) if count else None


def _journal(errand: Errand[Message], draft: Draft, done: pa.Table) -> Record:
    name = file_name(errand.cohort, "journal")
    with scratch_file(errand.tools.scratch) as local:
        pq.write_table(done.select(JOURNAL.names), local, compression="zstd", compression_level=1)
        draft.put(local, name)
    return Record(errand.cohort.step, name, None)


def _stay(errand: Errand[Message], part: Part, waiting: pa.Table, *, doubt: bool) -> Stay:
    reason, _ = Counter(waiting["detail"].to_pylist()).most_common(1)[0]
    return Stay(part, errand.tools.clock.now() + timedelta(seconds=_delay(errand, waiting)), reason, doubt)


def _delay(errand: Errand[Message], waiting: pa.Table) -> float:
    """Seconds until the next attempt: what the other side asked for, else ever longer."""
    asked = waiting["after"].to_pylist()
    grown = errand.tools.pacing.retry_delay * 2.0 ** min(errand.cohort.attempt - 1, 16)
    grown *= 0.9 + secrets.randbelow(200) / 1000
    return min(max(grown if each is None else each for each in asked), _LONGEST_DELAY)
