"""What comes of a move: the cohorts that it opens, each with its time, its place and what it keeps of the one before.
Also what a journey says of its steps that the engine asks again and again."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from caravan.journeys.model import Journey
from caravan.steps.move import Asked, Move, Passage, Retry, Share, Standing
from caravan.steps.step import CohortStep
from caravan.store.cohorts import NEVER, Cohort, Opening, Part
from caravan.store.queues import Queue


def step_of(journey: Journey, step: str) -> CohortStep:
    """A step of a journey, as one that takes cohorts."""
    found = journey.step(step)
    assert isinstance(found, CohortStep)
    return found


def queue_of(journey: Journey, step: str, provider: str | None = None) -> Queue:
    """The queue in which cohorts at this step advance; those that may have to wait for their provider are in the way of
    none but each other."""
    if not step_of(journey, step).sends:
        return Queue.ADVANCE
    return Queue.DELIVER if provider is None else Queue.PACED


def hears(journey: Journey, step: CohortStep) -> bool:
    """Whether contacts that stand at the step may leave it by an event."""
    return bool(step.listens) or (step.waits and bool(journey.exits.events))


def checked_first(journey: Journey, opening: Opening, now: datetime) -> Opening:
    """The same opening; contacts that come to where they may stand are looked at first, if a condition lets some go."""
    if not (opening.arrives and journey.exits.by_condition and step_of(journey, opening.step).waits):
        return opening
    if opening.came_at is not None:  # they were looked at when they came
        return opening
    return replace(opening, due_at=now, checks=True)


def openings_of(cohort: Cohort, journey: Journey, move: Move, now: datetime) -> list[Opening]:
    """The cohorts that a move of this one opens."""
    going = [_onward(cohort, journey, passage, now) for passage in move.passages if passage.to is not None]
    staying = _shares(cohort, move.shares)
    staying += [_ask(cohort, asked) for asked in move.asked]
    staying += [_stay(cohort, step_of(journey, cohort.step), part) for part in move.checked]
    # Where no contact has come on, the one that kills may be among those that stay.
    deaths = 0 if move.outcomes else cohort.deaths
    staying += [_again(cohort, retry, now, deaths) for retry in move.retries]
    staying += [_stand(cohort, standing, deaths) for standing in move.standing]
    return [*going, *staying]


def _onward(cohort: Cohort, journey: Journey, passage: Passage, now: datetime) -> Opening:
    assert passage.to is not None
    due = step_of(journey, passage.to).due(now)
    return Opening(
        passage.to,
        passage.part,
        visit=cohort.visit + 1,
        due_at=due,
        before=cohort.opened_at,
        entered_at=cohort.entered_at,
    )


def _shares(cohort: Cohort, shares: Sequence[Share]) -> list[Opening]:
    """The shares of a cohort, each in the place that its contacts had in the queue, unless it goes to another one."""
    openings, turn = [], cohort.turn or 0
    for share in shares:
        stays = share.provider is None or cohort.provider is not None
        opening = Opening(cohort.step, share.part, visit=cohort.visit, due_at=cohort.due_at, arrives=False)
        openings.append(
            replace(
                opening,
                turn=turn if stays else None,
                attempt=cohort.attempt,
                first_tried_at=cohort.first_tried_at,
                doubt=cohort.doubt,
                deaths=cohort.deaths,
                replay=cohort.replay,
                entered_at=cohort.entered_at,
                provider=share.provider,
                sorted_for=share.sorted_for,
            )
        )
        turn += share.part.size
    return openings


def _stay(cohort: Cohort, step: CohortStep, part: Part) -> Opening:
    """Contacts that were looked at as they came, and stand here now."""
    came = cohort.opened_at
    assert came is not None
    return Opening(
        cohort.step,
        part,
        visit=cohort.visit,
        due_at=step.due(came),
        arrives=False,
        before=cohort.before_at or came,
        entered_at=cohort.entered_at,
    )


def _ask(cohort: Cohort, asked: Asked) -> Opening:
    """Contacts that were asked something, and stand for the answer."""
    return Opening(
        cohort.step,
        asked.part,
        visit=cohort.visit,
        due_at=asked.until,
        doubt=asked.doubt,
        arrives=False,
        before=cohort.opened_at,
        entered_at=cohort.entered_at,
        asked=True,
    )


def _again(cohort: Cohort, retry: Retry, now: datetime, deaths: int) -> Opening:
    return Opening(
        cohort.step,
        retry.part,
        visit=cohort.visit,
        due_at=retry.due_at,
        attempt=cohort.attempt + 1,
        first_tried_at=cohort.first_tried_at or now,
        reason=retry.reason,
        doubt=retry.doubt,
        deaths=deaths,
        arrives=False,
        replay=cohort.replay,
        provider=cohort.provider,
        sorted_for=cohort.sorted_for,
        entered_at=cohort.entered_at,
    )


def _stand(cohort: Cohort, standing: Standing, deaths: int) -> Opening:
    """Contacts that stand: no attempt is counted, and the time of the first one stays what it was."""
    return Opening(
        cohort.step,
        standing.part,
        visit=cohort.visit,
        due_at=standing.until or NEVER,
        attempt=cohort.attempt,
        first_tried_at=cohort.first_tried_at,
        reason=standing.reason,
        stands=True,
        doubt=standing.doubt,
        deaths=deaths,
        arrives=False,
        replay=cohort.replay,
        provider=cohort.provider,
        sorted_for=cohort.sorted_for,
        entered_at=cohort.entered_at,
    )
