"""What a reply makes of a contact."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from caravan.delivery.outcomes import outcome_of, retry_delay
from caravan.delivery.result import Result, SendResult
from caravan.journeys.fields import OnUnknown
from caravan.store.journal import AGAIN

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def cohort_delivery(attempt: int, delay: float) -> Any:
    return SimpleNamespace(
        cohort=SimpleNamespace(attempt=attempt, first_tried_at=None),
        tools=SimpleNamespace(pacing=SimpleNamespace(retry_delay=delay, retry_hours=72)),
        on_unknown=OnUnknown.SKIP,
        one_place=True,
    )


@given(
    attempt=st.integers(1, 1_000),
    delay=st.floats(0.01, 3_600),
    asked=st.none() | st.floats(allow_nan=False),
)
def test_the_other_side_can_put_off_the_next_attempt_but_never_hasten_it(
    attempt: int, delay: float, asked: float | None
) -> None:
    sent = cohort_delivery(attempt, delay)
    outcome = outcome_of(SendResult(Result.RETRY, "429", asked), cast(Any, sent), NOON)
    assert outcome.outcome == AGAIN
    # Without a wish, `build_move` takes the own delay.
    assert outcome.after is None or outcome.after >= max(retry_delay(sent), asked or 0)
