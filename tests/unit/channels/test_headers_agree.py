"""The headers that a journey can't set are one list: what is published is never refused when it is sent."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from caravan.channels.headers import RESERVED, header_problem
from caravan.channels.registry import STEP_TYPES
from caravan.channels.webhook import Call, _headers
from caravan.errors import InvalidDefinition, InvalidInput
from caravan.journeys.definition import load_journey

NAMES = st.sampled_from(sorted(RESERVED)).flatmap(
    lambda name: st.sampled_from([name, name.title(), name.upper(), f"{name} ", f"X-{name}"])
) | st.text(max_size=12)


def is_published(name: str) -> bool:
    """Whether a journey with a webhook that sets this header is free of problems."""
    webhook: dict[str, Any] = {"url": "https://example.com", "headers": {name: "x"}}
    try:
        load_journey({"journey": 1, "steps": [{"id": "a", "webhook": webhook}]}, STEP_TYPES)
    except InvalidDefinition:
        return False
    return True


def is_sent(name: str) -> bool:
    """Whether the channel takes a call with this header."""
    try:
        _headers(Call("POST", "https://example.com", {name: "x"}, b"", "key"))
    except InvalidInput:
        return False
    return True


@given(NAMES)
@example("Upgrade")
@example("uPGRADE")
@example("TE")
@example("Authorization")
def test_a_header_is_refused_when_published_exactly_if_it_could_not_be_sent(name: str) -> None:
    assert is_published(name) is is_sent(name) is (header_problem(name) is None)
