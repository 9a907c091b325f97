"""The wait_for step's fields, and what it makes of events."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from pydantic import ValidationError

from caravan.channels.registry import STEP_TYPES
from caravan.errors import InvalidDefinition
from caravan.events.event import Origin
from caravan.events.happening import Happening
from caravan.journeys.definition import as_dict, load_journey, read_journey
from caravan.steps.step import Stay
from caravan.steps.wait_for import WaitFor

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def wait_for(next: str | None = None, **fields: Any) -> WaitFor:
    """A step with these fields."""
    return WaitFor.model_validate({"id": "w", "next": next, **fields})


def chosen(step: WaitFor, event: str, contact: str = "{}", /, **properties: Any) -> int | None:
    """Which of its events this one is for a contact."""
    with duckdb.connect() as duck:
        return step.led_on(
            [Happening("anna", event, NOW, properties)], [Stay(Origin("b", "w", 0, 1), contact)], duck, NOW
        )[0]


def test_each_event_has_its_way_and_so_has_the_time_that_is_over() -> None:
    step = wait_for(any=[{"event": "a", "to": "x"}, {"event": "b", "to": "y"}], timeout="2 days", to="z")
    assert step.ways == ["x", "y", "z"]
    assert step.listens == {"a", "b"}
    assert step.targets() == [("wait_for.any[0].to", "x"), ("wait_for.any[1].to", "y"), ("wait_for.to", "z")]
    assert step.captions() == ["a", "b", "time over"]
    assert not list(step.check())
    assert step.summary == "a or b, 2 days at most"


def test_one_event_stands_alone_with_then_and_else() -> None:
    step = wait_for(event="a", timeout="2 days", then="x", **{"else": "y"})
    assert (step.ways, step.captions(), list(step.check())) == (["x", "y"], ["a", "time over"], [])
    assert wait_for(event="a", timeout="2 days", next="n").ways == ["n", "n"]
    assert wait_for(event="a", timeout="2 days").may_end


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"timeout": "2 days"}, "wait_for"),
        ({"event": "a", "any": [{"event": "a", "to": "x"}], "timeout": "2 days"}, "wait_for"),
        ({"event": "a"}, "wait_for"),
        ({"event": "a", "timeout": "2 days", "until": "2026-12-24T18:00:00Z"}, "wait_for"),
        ({"event": "a", "timeout": "2 days", "to": "x"}, "wait_for.to"),
        ({"any": [{"event": "a"}], "timeout": "2 days", "next": "n"}, "wait_for.any[0]"),
        ({"any": [{"event": "a", "to": "x"}], "timeout": "2 days", "then": "x"}, "wait_for.then"),
        ({"any": [{"event": "a", "to": "x"}], "timeout": "2 days", "else": "x"}, "wait_for.else"),
        ({"any": [{"event": "a", "to": "x"}] * 21, "timeout": "2 days"}, "wait_for.any"),
        ({"event": "a", "timeout": "2 days", "then": "x", "else": "y", "next": "n"}, "next"),
    ],
)
def test_a_step_that_makes_no_sense_is_told(fields: dict[str, Any], where: str) -> None:
    assert where in [each for each, _ in wait_for(**fields).check()]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"event": "1"}, "no name of an event"),
        ({"event": "a", "if": "total >"}, "segment"),
        ({"event": "a", "if": "read_csv('x')"}, "there is no function"),
        ({"event": "a", "timeout": "soon"}, "no duration"),
        ({"event": "a", "timeout": "0 days"}, "longer than nothing"),
        ({"event": "a", "until": "2026-12-24"}, "no moment"),
        ({"event": "a", "since": "ever"}, "none of step, journey"),
        ({"event": "a", "save": {"": "x"}}, "1 to 256"),
        ({"event": "a", "match": " "}, "1 to 256"),
    ],
)
def test_a_field_that_can_not_be_read_is_told(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        wait_for(**fields)


def test_the_problems_of_a_file_have_their_lines_and_its_edges_are_seen_all_the_same() -> None:
    source = """journey: 1
steps:
  - id: w
    wait_for:
      any:
        - {event: purchase, iff: total > 1, to: x}
        - {event: "no name", to: y}
      timeout: 2 days
      to: z
  - {id: x, exit: {}}
  - {id: y, exit: {}}
  - {id: z, exit: {}}
"""
    with pytest.raises(InvalidDefinition) as found:
        read_journey(source, STEP_TYPES)
    told = {(each.line, each.message.partition(";")[0].partition(":")[0]) for each in found.value.problems}
    assert told == {(6, "unknown key 'iff'"), (7, "'no name' is no name of an event")}


def test_a_definition_is_the_same_when_it_was_stored() -> None:
    source = """journey: 1
name: One
steps:
  - id: w
    wait_for: {event: a, if: total > 1, match: order, save: [total], timeout: 2 days, then: x, else: x, since: journey}
  - {id: x, exit: {}}
"""
    journey = read_journey(source, STEP_TYPES)
    assert load_journey(as_dict(journey), STEP_TYPES) == journey
    assert journey.steps[0].makes == {"total"}


def test_the_condition_is_about_the_event_and_the_contact() -> None:
    large = {"event": "buy", "if": "total > contact.total and contact.address.city = 'Oslo' and city is null"}
    step = wait_for(any=[{**large, "to": "x"}, {"event": "buy", "to": "y"}], timeout="1 day")
    contact = '{"total": 5, "city": "Rome", "address": {"city": "Oslo"}}'
    assert chosen(step, "buy", contact, total=6) == 0
    assert chosen(step, "buy", contact, total=5) == 1
    assert chosen(step, "buy", contact, total=6, city="Oslo") == 1
    assert chosen(step, "buy", contact, total=6, contact={"total": 1}) == 0
    assert chosen(step, "sell", contact, total=6) is None


def test_the_contact_s_id_can_be_asked_for() -> None:
    step = wait_for(event="buy", timeout="1 day", **{"if": "contact.id = 'anna' and id = 'anna'"})
    assert chosen(step, "buy") == 0
    assert chosen(wait_for(event="buy", timeout="1 day", **{"if": "id = 'bo'"}), "buy") is None


@pytest.mark.parametrize(
    ("contact", "event", "is_meant"),
    [
        ('{"order": 17}', 17, True),
        ('{"order": "17"}', 17, True),
        ('{"order": 17}', "17", True),
        ('{"order": "A-1"}', "A-1", True),
        ('{"order": "A-1"}', "a-1", False),
        ('{"order": null}', None, False),
        ("{}", 17, False),
        ('{"order": true}', True, True),
    ],
)
def test_an_event_is_tied_to_a_property(contact: str, event: object, is_meant: bool) -> None:
    step = wait_for(event="paid", timeout="1 day", match="order")
    assert (chosen(step, "paid", contact, order=event) == 0) is is_meant


def test_properties_of_the_event_are_kept() -> None:
    step = wait_for(event="paid", timeout="1 day", save={"last": "total"})
    happening = Happening("anna", "paid", NOW, {"total": {"a": [1]}})
    assert step.learnt(0, happening, '{"last": 1, "x": 1.50}') == '{"x": 1.50, "last": {"a": [1]}}'
    assert step.learnt(0, Happening("anna", "paid", NOW, {}), '{"last": 1}') == '{"last": 1}'


def test_a_step_says_when_its_time_is_over_and_what_counts() -> None:
    step = wait_for(event="a", timeout="2 days")
    before, entered = NOW - timedelta(hours=1), NOW - timedelta(days=9)
    assert step.due(NOW) == NOW + timedelta(days=2)
    assert step.counts_from(NOW, before, entered) == before
    assert step.counts_from(NOW, None, None) == NOW
    assert wait_for(event="a", timeout="2 d", since="journey").counts_from(NOW, before, entered) == entered
    minutes = wait_for(event="a", timeout="2 d", since="10 minutes").counts_from(NOW, before, entered)
    assert minutes == NOW - timedelta(minutes=10)
    until = wait_for(event="a", until="2026-12-24T18:00:00+01:00")
    assert until.due(NOW) == datetime(2026, 12, 24, 17, tzinfo=UTC)
    assert until.due(NOW + timedelta(days=100)) == NOW + timedelta(days=100)
