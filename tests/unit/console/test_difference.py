"""What differs between two versions of a journey, in sentences."""

from typing import Any

from caravan.channels.registry import STEP_TYPES
from caravan.console.difference import Change, Kind, Sign, differences
from caravan.journeys.definition import load_journey
from caravan.journeys.model import Journey


def changes(old: list[dict[str, Any]], new: list[dict[str, Any]], names: tuple[str, str] = ("A", "A")) -> list[Change]:
    versions = [
        load_journey({"journey": 1, "name": name, "steps": steps}, STEP_TYPES)
        for name, steps in zip(names, (old, new), strict=True)
    ]
    return differences(*versions)


def wait(id: str, time: str = "1 day", next: str | None = None) -> dict[str, Any]:
    return {"id": id, "wait": time} | ({"next": next} if next else {})


def email(id: str, subject: str, text: str = "Hello") -> dict[str, Any]:
    return {"id": id, "email": {"from": "a@example.com", "to": "b@example.com", "subject": subject, "text": text}}


def test_equal_versions_do_not_differ() -> None:
    assert changes([wait("a", next="b"), wait("b")], [wait("a", next="b"), wait("b")]) == []


def test_the_order_of_the_steps_behind_the_first_makes_no_difference() -> None:
    a, b, c = wait("a", next="b"), wait("b", next="c"), wait("c")
    assert changes([a, b, c], [a, c, b]) == []


def test_a_changed_field_is_named_with_its_old_and_its_new_text() -> None:
    (found,) = changes([email("offer", "For you")], [email("offer", "Only for you")])
    assert (found.kind, found.step, found.sentence) == (Kind.CHANGED, "offer", "Subject of email offer changes.")
    assert [(each.sign, each.text) for each in found.fields[0].lines] == [
        (Sign.OLD, "For you"),
        (Sign.NEW, "Only for you"),
    ]


def test_of_a_long_text_only_what_changes_is_told_with_the_lines_around_it() -> None:
    lines = [f"line {index}" for index in range(20)]
    (found,) = changes(
        [email("offer", "x", "\n".join(lines))], [email("offer", "x", "\n".join([*lines[:10], "new", *lines[11:]]))]
    )
    assert [f"{each.sign}: {each.text}" for each in found.fields[0].lines] == [
        "left_out: 8 lines stay the same",
        "same: line 8",
        "same: line 9",
        "old: line 10",
        "new: new",
        "same: line 11",
        "same: line 12",
        "left_out: 7 lines stay the same",
    ]


def test_steps_that_come_and_go_are_told_with_what_they_do() -> None:
    found = changes([wait("a", next="b"), wait("b")], [wait("a", next="offer"), email("offer", "For you")])
    assert [(each.kind, each.sentence) for each in found] == [
        (Kind.CHANGED, "After a contacts go to offer instead of b."),
        (Kind.NEW, "Step offer is new: an email (For you)."),
        (Kind.GONE, "Step b is gone: a wait (1 day)."),
    ]


def test_a_step_with_another_id_only_is_told_as_renamed_and_not_as_another_way() -> None:
    found = changes([wait("a", next="b"), wait("b", "2 days")], [wait("a", next="c"), wait("c", "2 days")])
    assert [each.sentence for each in found] == ["Step b is now called c."]


def test_another_type_another_entry_another_name_and_another_end_are_told() -> None:
    found = changes([wait("a", next="b"), email("b", "x")], [wait("b", next="a"), wait("a")], ("Old", "New"))
    assert [each.sentence for each in found] == [
        "The journey is called “New” instead of “Old”.",
        "Contacts enter at b instead of a.",
        "Step b is a wait (1 day) instead of an email (x). After b contacts go to a instead of to the end.",
        "After a nobody goes to b any more.",
    ]


def test_each_branch_of_a_split_is_a_line() -> None:
    def split(limit: int) -> dict[str, Any]:
        return {"id": "sort", "split": [{"if": f"ltv > {limit}", "to": "a"}, {"else": "b"}]}

    (found,) = changes([split(1), wait("a"), wait("b")], [split(2), wait("a"), wait("b")])
    assert found.sentence == "Split sort changes."
    assert [f"{each.sign}: {each.text}" for each in found.fields[0].lines] == [
        "old: if: ltv > 1, to: a",
        "new: if: ltv > 2, to: a",
        "same: else: b",
    ]


def test_other_rules_of_the_journey_are_told_with_their_lines() -> None:
    def journey(**rules: object) -> Journey:
        return load_journey({"journey": 1, "name": "A", "steps": [wait("a")], **rules}, STEP_TYPES)

    plain = journey()
    ruled = journey(reentry="once", goal={"event": "purchase"}, exit_when=[{"event": "left"}, {"if": "city = 'Oslo'"}])
    (found,) = differences(plain, ruled)
    assert (found.kind, found.step) == (Kind.CHANGED, None)
    assert found.sentence == "Reentry, goal and exit_when of the journey change."
    assert [[line.text for line in each.lines] for each in found.fields] == [
        ["once"],
        ["{", '  "event": "purchase"', "}"],
        ["event: left", "if: city = 'Oslo'"],
    ]
    (found,) = differences(ruled, journey(reentry="once", goal={"event": "purchase"}, exit_when=[{"event": "left"}]))
    assert found.sentence == "Exit_when of the journey changes."
    assert [(each.sign, each.text) for each in found.fields[0].lines] == [
        (Sign.SAME, "event: left"),
        (Sign.OLD, "if: city = 'Oslo'"),
    ]
    assert differences(ruled, ruled) == []
