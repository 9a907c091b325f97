"""What a message step makes of one contact's row."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from caravan.channels.email_step import Email
from caravan.channels.registry import STEP_TYPES
from caravan.channels.webhook_step import Webhook
from caravan.delivery.cohort_delivery import view
from caravan.errors import RenderFailed
from caravan.journeys.definition import read_journey
from caravan.store.cohorts import Cohort

MOMENT = datetime(1999, 12, 31, 23, 59, tzinfo=UTC)  # of a turned clock
COHORT = cast(Cohort, SimpleNamespace(customer=1001, batch="b", step="s", journey=1, visit=1))


def row(properties: str) -> dict[str, Any]:
    return {"id": "1", "line": 1, "properties": properties}


def mail(subject: str, properties: str = "{}") -> str:
    """A mail's text, which is the given template."""
    journey = {"from": "a@example.com", "to": "b@example.com", "subject": "x", "text": subject}
    [step] = read_journey(
        json.dumps({"journey": 1, "name": "J", "steps": [{"id": "m", "email": journey}]}), STEP_TYPES
    ).steps
    assert isinstance(step, Email)
    return step.write(view(row(properties), MOMENT), "key", COHORT, MOMENT).message.content.decode()


def call(webhook: dict[str, Any], properties: str) -> Any:
    """The body of a webhook's request."""
    text = json.dumps({"journey": 1, "name": "J", "steps": [{"id": "w", "webhook": webhook}]})
    [step] = read_journey(text, STEP_TYPES).steps
    assert isinstance(step, Webhook)
    return json.loads(step.write(view(row(properties), MOMENT), "key", COHORT, MOMENT).message.body)


def test_now_is_the_moment_of_the_step_by_the_one_clock() -> None:
    assert "It is 1999-12-31 23:59." in mail("It is {{ 'now' | date: '%F %R' }}.")
    body = {"at": "{{ 'today' | date: '%Y' }}"}
    assert call({"url": "https://example.com", "body": body}, "{}") == {"at": "1999"}


def test_a_number_of_any_length_is_written_as_it_is() -> None:
    digits = "7" * 5_000
    assert digits in mail("{{ n }}", f'{{"n": {digits}}}').replace("=\r\n", "")
    assert call({"url": "https://example.com"}, f'{{"n": {digits}}}')["properties"] == {"n": digits}


@pytest.mark.parametrize("properties", ['{"n": 1e999999999}', '{"n": [{"m": -1e400}]}'])
def test_a_number_without_an_end_is_told_in_one_sentence(properties: str) -> None:
    with pytest.raises(RenderFailed, match="a number in it is too large"):
        call({"url": "https://example.com"}, properties)
    with pytest.raises(RenderFailed, match="a number has more than 300 digits"):
        mail("{{ n }}", properties)


def test_half_a_surrogate_pair_is_told_in_one_sentence() -> None:
    with pytest.raises(RenderFailed, match="a text holds half a surrogate pair"):
        call({"url": "https://example.com"}, '{"n": "\\ud800"}')
