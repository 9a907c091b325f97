"""A cohort that stands for none: for messages that are written outside of any batch, to be looked at or tried."""

from datetime import datetime

from caravan.journeys.model import Journey
from caravan.store.cohorts import Cohort, Part


def stand_in(journey: Journey, step: str, customer: int, now: datetime) -> Cohort:
    """What a step's message may tell of the cohort: the journey and the step; the batch is called "preview"."""
    cohort = Cohort(
        id=0,
        batch="preview",
        step=step,
        part=Part("", 1),
        visit=0,
        attempt=1,
        first_tried_at=None,
        due_at=now,
        closed=False,
        claim=None,
        customer=customer,
        journey=journey.journey,
        version=0,
        state="running",
        paused=False,
        stuck=False,
        doubt=False,
        deaths=0,
        batch_created_at=now,
        turn=None,
    )
    return cohort.claimed_by("preview", journey.place(step))
