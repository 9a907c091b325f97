"""A filter that does not take its arguments is a mistake of the template: told when it is read, with its line."""

import pytest

from caravan.channels.registry import STEP_TYPES
from caravan.errors import InvalidInput, RenderFailed
from caravan.journeys import placeholders
from caravan.journeys.definition import read_journey
from caravan.journeys.placeholders import ContactView, compile_template, kinds
from caravan.journeys.placeholders.filters import FILTERS
from tests.unit.journeys.test_placeholders import LITERALS

WRONG = {
    "read_number": ["'abc'", "true", "nil", "''", "(1..2)", "'NaN'", "'1e5x'"],
    "read_count": ["'abc'", "true", "nil", "(1..2)"],
    "read_decimals": ["-1", "21", "'x'", "nil"],
    "read_items": ["'a'", "1", "true", "''"],
    "read_zone": ["'Europe/Berln'", "1", "true", "'../../etc/passwd'"],
    "read_currency": ["'EURO'", "978", "nil", "''"],
    "read_locale": ["'xx_YY'", "1", "true", "''"],
    "read_text": ["(1..3)"],
    "read_name": ["(1..3)"],
    "read_any": [],
}


def refusal(call: str) -> str:
    """Why a template with this call in its third line is refused."""
    with pytest.raises(InvalidInput) as refused:
        compile_template("one\ntwo\n{{ a | " + call + " }}\n")
    assert "(line 3 of the template)" in refused.value.message
    assert refused.value.message.startswith("the filter ")
    return refused.value.message


def test_every_kind_of_argument_has_examples() -> None:
    used = {each.__name__ for one in FILTERS.values() for each in (*one.arguments.values(), *one.options.values())}
    assert used == set(LITERALS) == set(WRONG)
    assert all(hasattr(kinds, name) for name in used)
    assert placeholders.__all__


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_refuses_too_few_and_too_many_arguments(name: str) -> None:
    kinds_of = [LITERALS[each.__name__][0] for each in FILTERS[name].arguments.values()]
    least = FILTERS[name].required
    for given in ([*kinds_of[: least - 1]] if least else None, [*kinds_of, "1"]):
        if given is not None:
            message = refusal(f"{name}: {', '.join(given)}" if given else name)
            assert f"not {len(given)}: {FILTERS[name].usage(name)}" in message
    for given in (kinds_of[:least], kinds_of):
        assert compile_template("{{ a | " + (f"{name}: {', '.join(given)}" if given else name) + " }}")


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_refuses_an_argument_that_it_has_no_name_for(name: str) -> None:
    given = [LITERALS[each.__name__][0] for each in FILTERS[name].arguments.values()]
    message = refusal(f"{name}: {', '.join([*given, 'unknown: 1'])}")
    assert "has no argument named unknown" in message


@pytest.mark.parametrize("name", [name for name in FILTERS if FILTERS[name].arguments])
def test_every_filter_refuses_what_is_written_of_the_wrong_kind(name: str) -> None:
    reads = list(FILTERS[name].arguments.values())
    for at, read in enumerate(reads):
        for wrong in WRONG[read.__name__]:
            given = [LITERALS[each.__name__][0] for each in reads[:at]]
            assert refusal(f"{name}: {', '.join([*given, wrong])}")


def test_a_refusal_names_what_is_needed() -> None:
    assert "truncate needs a whole number, not 'abc'" in refusal("truncate: 'abc'")
    assert "date needs a time zone like Europe/Berlin, not 'Europe/Berln'" in refusal("date: '%d', 'Europe/Berln'")
    assert "date takes 1 to 2 arguments, not 3: date: pattern, [zone]" in refusal("date: '%d', 'UTC', 1")
    assert "round needs a number, not 'x'" in refusal("round: 'x'")
    assert "money needs a currency like EUR, not 'EURO'" in refusal("money: 'EURO'")
    assert "default has no argument named allow_flase: default: [instead], [allow_false: …]" in refusal(
        "default: 1, allow_flase: true"
    )


def test_a_value_of_the_wrong_kind_fails_its_contact_with_what_is_needed() -> None:
    for call, what in {
        "truncate: b": "truncate needs a whole number",
        "date: '%d', b": "date needs a time zone like",
        "concat: b": "concat needs a list",
        "fixed: b": "fixed needs a number of decimals from 0 to 20",
        "money: b": "money needs a currency like EUR",
        "money: 'EUR', b": "money needs a locale like de_DE",
    }.items():
        with pytest.raises(RenderFailed, match=f"^A placeholder can't be filled: {what}.*line 1 of the template"):
            compile_template("{{ a | " + call + " }}").render(ContactView("1", {"a": "2026-01-31", "b": "Mars"}))


def test_a_journey_with_such_a_filter_is_not_published() -> None:
    with pytest.raises(InvalidInput) as refused:
        read_journey(
            "journey: 1\nname: J\nsteps:\n  - id: a\n    email:\n      from: a@example.com\n      to: b@example.com\n"
            "      subject: \"{{ d | date: '%d', 'Europe/Berlni' }}\"\n      text: \"{{ d | append }}\"\n",
            STEP_TYPES,
        )
    told = str(refused.value)
    assert "line 8: a.email.subject: the filter date needs a time zone like Europe/Berlin" in told
    assert "line 9: a.email.text: the filter append takes 1 argument, not 0" in told
