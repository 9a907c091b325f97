"""The ask step's fields, and the addresses that it gives."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.channels.ask_step import Ask
from caravan.channels.registry import STEP_TYPES
from caravan.delivery.answers import Answer, answer_url, read_answer
from caravan.delivery.key import DeliveryKey, make_key
from caravan.errors import InvalidDefinition
from caravan.journeys.check import check_journey
from caravan.journeys.definition import as_dict, load_journey, read_journey

SECRET, OTHER = b"one", b"two"
KEY = DeliveryKey("b_" + "0" * 19 + "7", 2, 3, 40)


def ask(next: str | None = None, **fields: Any) -> Ask:
    """A step with these fields."""
    return Ask.model_validate({"id": "a", "next": next, "url": "https://x.example", "timeout": "2 days", **fields})


def journey(fields: str, more: str = "") -> str:
    return (
        f"journey: 1\nsteps:\n  - id: a\n    ask: {{url: 'https://x.example', {fields}}}{more}\n"
        "  - {id: b, exit: {}}\n  - {id: c, exit: {}}\n  - {id: d, exit: {}}\n"
    )


def problems(source: str) -> list[str]:
    with pytest.raises(InvalidDefinition) as refused:
        read_journey(source, STEP_TYPES)
    return [str(each) for each in refused.value.problems]


def test_each_answer_has_its_way_and_so_has_the_time_that_is_over() -> None:
    step = ask(accepted="b", rejected="c", **{"else": "d"})
    assert step.targets() == [("ask.accepted", "b"), ("ask.rejected", "c"), ("ask.else", "d")]
    assert step.captions() == ["accepted", "rejected", "time over"]
    assert [step.way_of(index) for index, _ in enumerate(Answer)] == [("accepted", "b"), ("rejected", "c")]
    assert (step.unreached_to, step.may_end, step.takes_time) == ("d", False, True)


def test_ways_that_are_left_out_are_next_or_the_end() -> None:
    step = ask(next="b", rejected="c")
    assert step.targets() == [("ask.rejected", "c"), ("next", "b")]
    assert step.captions() == ["rejected", "else"]
    assert [step.way_of(index)[1] for index, _ in enumerate(Answer)] == ["b", "c"]
    assert (step.unreached_to, step.may_end) == ("b", False)
    assert ask(accepted="b").may_end


def test_what_is_written_is_read_again_as_the_same() -> None:
    fields = "timeout: 1 week, accepted: b, rejected: c, else: d, method: PUT, secret: s, body: {a: '{{ accept_url }}'}"
    found = read_journey(journey(fields), STEP_TYPES)
    assert load_journey(as_dict(found), STEP_TYPES) == found
    assert as_dict(found)["steps"][0]["ask"]["else"] == "d"


@pytest.mark.parametrize(
    "fields, more, told",
    [
        ("accepted: b, rejected: c, else: d", "", "timeout"),
        ("timeout: 0 days, accepted: b, rejected: c, else: d", "", "a timeout is longer than nothing"),
        ("timeout: soon, accepted: b, rejected: c, else: d", "", "timeout"),
        ("timeout: 1 day, accepted: nowhere, rejected: c, else: d", "\n    next: b", "nowhere"),
        ("timeout: 1 day, accepted: b, rejected: c, else: d", "\n    next: b", "next is never used"),
        ("timeout: 1 day, accepted: b, rejected: c, else: d, headers: {Host: x}", "", "the header 'Host'"),
        ("timeout: 1 day, accepted: b, rejected: c, else: d, form: {a: b}", "", "unknown key 'form'"),
        ("timeout: 1 day, accepted: b, rejected: c, else: d, body: '{{ x'", "", "body"),
    ],
)
def test_a_mistake_is_told(fields: str, more: str, told: str) -> None:
    assert any(told in each for each in problems(journey(fields, more)))


def test_the_addresses_are_no_unknown_properties() -> None:
    fields = "timeout: 1 day, accepted: b, rejected: c, else: d, body: '{{ accept_url }} {{ x }}'"
    found = check_journey(journey(fields), STEP_TYPES)
    assert found.problems == []
    assert [use.names for use in found.uses] == [("x",)]


@given(st.sampled_from(list(Answer)), st.integers(0, 1 << 40), st.integers(0, 1000))
def test_an_address_is_read_back_and_no_other_is(answer: Answer, line: int, step: int) -> None:
    delivery = DeliveryKey(KEY.batch, step, 3, line)
    url = answer_url("https://x.example/", make_key(delivery, SECRET), answer, SECRET)
    base, _, rest = url.partition("/a/")
    key, word, signature = rest.split("/")
    assert base == "https://x.example"
    assert read_answer(key, word, signature, [OTHER, SECRET]) == (delivery, answer)
    assert read_answer(key.upper(), word, signature.upper(), [SECRET]) == (delivery, answer)
    other = Answer.REJECT if answer is Answer.ACCEPT else Answer.ACCEPT
    assert read_answer(key, other, signature, [SECRET]) is None
    assert read_answer(key, word, signature, [OTHER]) is None
    assert read_answer(make_key(KEY, SECRET), word, signature, [SECRET]) is None
    assert read_answer(key, word, signature[:-1], [SECRET]) is None


@given(st.text(max_size=60), st.text(max_size=10), st.text(max_size=40))
def test_any_other_text_is_no_address(key: str, answer: str, signature: str) -> None:
    assert read_answer(key, answer, signature, [SECRET]) is None
    assert read_answer(make_key(KEY, SECRET), answer, signature, [SECRET]) is None
