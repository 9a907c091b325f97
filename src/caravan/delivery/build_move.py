"""The move that comes of a cohort's delivery, once no window of it is in flight."""

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caravan.delivery.cohort_delivery import CohortDelivery, ContactOutcome
from caravan.delivery.envelope import Message
from caravan.delivery.outcomes import outage_delay, record_of, retry_delay
from caravan.delivery.saved import with_saved
from caravan.steps.cohort_files import file_name, scratch_file, write_part
from caravan.steps.move import Asked, Move, Passage, Retry, Standing
from caravan.store.cohorts import NEVER, Part, line_range, with_lines
from caravan.store.files import Draft
from caravan.store.journal import AGAIN, LATER, RECORD, Record, still_there, write_journal
from caravan.store.ledger import FINAL, Outcome
from caravan.store.windows import Verdict, Window, gaps

Delays = np.ndarray[Any, np.dtype[np.float64]]
Chosen = np.ndarray[Any, np.dtype[np.bool_]]
_LONGEST_DELAY = 6 * 3600.0
_SPREAD, _SLACK = 1.5, 5.0  # the factor and the seconds that one contact waits longer than another it is retried with
_ALIKE = 1.0  # seconds between two times that are taken for the same
_MOMENTS = 32  # at which the contacts of one cohort that stand may be due


def all_outcomes(
    delivery: CohortDelivery[Message],
    contacts: pa.Table,
    windows: list[Window],
    verdict: Verdict,
    trouble: ContactOutcome | None,
) -> pa.Table:
    """One row for each contact of the cohort, also for those that no window reached: its trouble is theirs."""
    now = delivery.tools.clock.now()
    cancelled = verdict is Verdict.CANCELLED
    rest = trouble or ContactOutcome(AGAIN, "", now, outage_delay(delivery))
    if cancelled:
        rest = ContactOutcome(Outcome.CANCELLED, "", now)
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
    contact whose journey ends here does none of these."""
    asked = _asked(delivery, outcomes)
    stays = pc.or_(still_there(outcomes), asked)
    stopped = pc.is_in(outcomes["outcome"], pa.array(map(str, FINAL)))
    done = outcomes.filter(pc.invert(stays))
    with Draft(delivery.tools.files) as draft:
        learnt = with_saved(contacts, outcomes)
        going = _part(delivery, draft, learnt, pc.invert(pc.or_(stays, stopped)), "on", new=learnt is not contacts)
        return Move(
            passages=[Passage(going, delivery.to)] if going else [],
            outcomes=Counter(Outcome(each) for each in done["outcome"].to_pylist()),
            records=[_journal(delivery, draft, done)] if done.num_rows else [],
            retries=list(_retries(delivery, draft, contacts, outcomes)),
            standing=list(_standing(delivery, draft, contacts, outcomes)),
            asked=list(_wait(delivery, draft, contacts, outcomes, asked)),
            dead=_dead(delivery, draft, contacts, outcomes) if delivery.keeps_letters else None,
        )


def _asked(delivery: CohortDelivery[Message], outcomes: pa.Table) -> pa.ChunkedArray:
    """Whether each contact was, or may have been, asked something and stands for the answer. In a batch that was
    recalled nobody does."""
    if delivery.answers_until is None:
        return pa.chunked_array([pa.repeat(False, outcomes.num_rows)])
    return pc.is_in(outcomes["outcome"], pa.array([str(Outcome.SENT), str(Outcome.UNKNOWN)]))


def _wait(
    delivery: CohortDelivery[Message], draft: Draft, contacts: pa.Table, outcomes: pa.Table, asked: pa.ChunkedArray
) -> Iterator[Asked]:
    """Those that stand for an answer; those apart of whom it is not known whether the question arrived."""
    if delivery.answers_until is None:
        return
    until = delivery.answers_until(delivery.tools.clock.now())
    unknown = pc.equal(outcomes["outcome"], str(Outcome.UNKNOWN))
    for doubt, chosen in ((False, pc.and_not(asked, unknown)), (True, pc.and_(asked, unknown))):
        if part := _part(delivery, draft, contacts, chosen, "unsure" if doubt else "asked"):
            yield Asked(part, until, doubt)


def _retries(
    delivery: CohortDelivery[Message], draft: Draft, contacts: pa.Table, outcomes: pa.Table
) -> Iterator[Retry]:
    """Those that are tried again, by the time until then; those in doubt apart, since only of the others it is known
    that nothing came."""
    again = pc.equal(outcomes["outcome"], AGAIN).to_numpy()
    doubt, delays = outcomes["doubt"].to_numpy(), _delays(delivery, outcomes)
    for in_doubt in (False, True):
        those = again & (doubt == in_doubt)
        for longest, chosen in _alike(delays, those):
            mask = pa.chunked_array([pa.array(chosen)])
            part = _part(delivery, draft, contacts, mask, "doubt" if in_doubt else "again")
            assert part is not None
            due = delivery.tools.clock.now() + timedelta(seconds=longest)
            yield Retry(part, due, _reason(outcomes.filter(mask)), in_doubt)


def _delays(delivery: CohortDelivery[Message], outcomes: pa.Table) -> Delays:
    """Of each contact, the seconds until it is tried again: what the other side asked for, else ever longer."""
    grown = retry_delay(delivery) * (0.9 + secrets.randbelow(200) / 1000)
    delays: np.ndarray[Any, np.dtype[np.float64]] = (
        outcomes["after"].fill_null(grown).to_numpy().clip(max=_LONGEST_DELAY)
    )
    return delays


def _alike(delays: Delays, those: Chosen) -> Iterator[tuple[float, Chosen]]:
    """Those contacts in groups whose delays hardly differ, each with its longest: each group makes a cohort."""
    while those.any():
        shortest = float(delays[those].min())
        group = those & (delays <= shortest * _SPREAD + _SLACK)
        yield float(delays[group].max()), group
        those = those & ~group


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
    """When each contact that stands is due, NEVER where only an event ends it; None for all others. Neighbours share
    the latest of their times, since each makes a cohort."""
    rows = zip(*(outcomes[name].to_pylist() for name in ("outcome", "at", "after")), strict=True)
    due = [
        None if outcome != LATER else NEVER if after is None else at + timedelta(seconds=after)
        for outcome, at, after in rows
    ]
    shared = shared_moments(sorted({each for each in due if each is not None and each != NEVER}))
    return [None if each is None else shared.get(each, each) for each in due]


def shared_moments(moments: list[datetime]) -> dict[datetime, datetime]:
    """For each of these moments, in their order, the one that it shares: at most _MOMENTS of them are left, none is
    earlier than its own, and the longest delay is as short as that allows, to a second."""
    width, widest = _ALIKE, max((moments[-1] - moments[0]).total_seconds(), _ALIKE) if moments else _ALIKE
    if len(_within(moments, width)) > _MOMENTS:
        while widest - width > _ALIKE:
            middle = (width + widest) / 2
            if len(_within(moments, middle)) > _MOMENTS:
                width = middle
            else:
                widest = middle
        width = widest
    return {each: group[-1] for group in _within(moments, width) for each in group}


def _within(moments: list[datetime], width: float) -> list[list[datetime]]:
    """Moments in their order, in groups of which none is wider than so many seconds."""
    groups: list[list[datetime]] = []
    for each in moments:
        if groups and (each - groups[-1][0]).total_seconds() <= width:
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def _dead(delivery: CohortDelivery[Message], draft: Draft, contacts: pa.Table, outcomes: pa.Table) -> Part | None:
    """Those who failed, each with the time and the reason."""
    described = contacts.append_column("at", outcomes["at"]).append_column("detail", outcomes["detail"])
    failed = described.filter(pc.equal(outcomes["outcome"], str(Outcome.FAILED)))
    return write_part(delivery.tools, draft, delivery.cohort, failed, "letters") if failed.num_rows else None


def _part(
    delivery: CohortDelivery[Message],
    draft: Draft,
    contacts: pa.Table,
    chosen: pa.ChunkedArray,
    name: str,
    *,
    new: bool = False,
) -> Part | None:
    """The chosen contacts as a file, None for none. For all of them the cohort's own file serves, unless something is
    `new` about them."""
    count = pc.sum(chosen).as_py()
    if count == delivery.cohort.part.size and not new:
        return delivery.cohort.part
    return write_part(delivery.tools, draft, delivery.cohort, contacts.filter(chosen), name) if count else None


def _journal(delivery: CohortDelivery[Message], draft: Draft, done: pa.Table) -> Record:
    name = with_lines(file_name(delivery.cohort, "journal"), *line_range(done))
    with scratch_file(delivery.tools.scratch) as local:
        write_journal(done, local)
        draft.put(local, name)
    return Record(delivery.cohort.step, name, None)


def _reason(waiting: pa.Table) -> str:
    """The one that most of them have."""
    ((reason, _),) = Counter(waiting["detail"].to_pylist()).most_common(1)
    return str(reason)
