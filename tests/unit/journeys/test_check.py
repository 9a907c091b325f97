"""Warnings about a definition: where YAML reads something else than what its author sees."""

import json
from time import thread_time
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from caravan.channels.registry import STEP_TYPES
from caravan.journeys.check import Check, check_journey
from caravan.journeys.definition import as_dict
from tests.examples import many
from tests.unit.journeys.test_definition import SPRING, in_steps

MAIL = {"from": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hello"}


def check(source: str) -> Check:
    return check_journey(source, STEP_TYPES)


def mail(**fields: str) -> str:
    """A journey of one email step; each field is YAML as it is written."""
    lines = [f"      {name}: {text}" for name, text in ({**MAIL, **fields}).items()]
    return "journey: 1\nsteps:\n  - id: a\n    email:\n" + "\n".join(lines) + "\n"


def body(text: str) -> str:
    """A journey of one webhook step with this body, in line 4."""
    return f"journey: 1\nsteps:\n  - id: a\n    webhook: {{url: 'https://x.example', body: {text}}}\n"


def warned(source: str) -> list[str]:
    """What a journey without problems is warned of."""
    found = check(source)
    assert found.problems == [] and found.journey is not None, found.problems
    assert found.warnings == sorted(found.warnings)
    return [str(each) for each in found.warnings]


def test_a_journey_without_pitfalls_has_no_warnings() -> None:
    assert warned(SPRING.replace("null, no, 09:00", "null, 'no', 09:00")) == []
    assert warned(in_steps("{id: a, wait: 1 day, next: b} # a day", "{id: b, exit: {}}   # the end")) == []
    commented = mail(**{"from": "Shop <a@example.com> # us", "to": "a@example.com  # them"})
    assert (
        warned(commented.replace("id: a", "id: a # first") + "    next: b # then\n  - id: b\n    exit: # done\n") == []
    )
    assert (
        warned(body("{\n      n: 1, # one\n      t: true # yes\n    }").replace("'https://x.example'", "https://x/y"))
        == []
    )


WORD = st.text(st.sampled_from("aZ 0é日🌷:'\"#{}-,&*!"), max_size=10)


@settings(max_examples=many(300), deadline=None)
@given(WORD, WORD)
@example("Order", "5")
@example("We are", " 1 in shoes")
def test_every_text_that_yaml_cuts_at_a_comment_is_a_warning(before: str, after: str) -> None:
    before = ("Order " + before.replace(": ", "")).strip(" :")
    assume(" #" not in before)
    source = mail(subject=f"{before} #{after}")
    try:
        seen = yaml.safe_load(source)["steps"][0]["email"]["subject"]
    except yaml.YAMLError:
        return
    assert seen == before
    found = check(source)
    told = next(str(each) for each in found.warnings if "for a comment" in each.message)
    assert told.startswith(f"line 7: a.email.subject: YAML takes #{after}".rstrip())


@pytest.mark.parametrize(
    ("source", "line", "where"),
    [
        ("journey: 1\nname: Sale #1\nsteps: [{id: a, exit: {}}]", 2, "name"),
        (mail(subject="Order\t#5"), 7, "a.email.subject"),
        (mail(subject="Order\n        no. #5"), 7, "a.email.subject"),
        (mail(text="Order # 5"), 8, "a.email.text"),
        (mail(reply_to="r@example.com #you"), 9, "a.email.reply_to"),
        (mail().replace("id: a", "id: a #1"), 3, "a.id"),
        ("journey: 1\nsteps:\n- id: a\n  split:\n  - if: x = 1 #2\n    to: b\n- id: b\n  exit:", 5, "a.split[0].if"),
        (body("{a: [1,\n        x #5\n      ]}\n    "), 5, "a.webhook.body.a[1]"),
        (in_steps("{id: a, webhook: {url: https://x.example, headers: {X-Color:\n    #fff\n    red #f00\n  }}}"), 5,
         "a.webhook.headers.X-Color"),
    ],
)  # fmt: skip
def test_a_cut_is_told_with_its_place_wherever_it_is(source: str, line: int, where: str) -> None:
    [warning] = [each for each in check(source).warnings if "for a comment" in each.message]
    assert (warning.line, warning.where) == (line, where)


def test_a_text_that_is_nothing_but_a_comment_is_a_warning_beside_the_problem() -> None:
    found = check(mail(subject="#sale"))
    assert [each.message for each in found.problems] == ["'subject' is missing"]
    assert [each.message[:16] for each in found.warnings] == ["YAML takes #sale"]
    assert check(mail(subject="# to be written")).warnings == []


@pytest.mark.parametrize(
    "text", ["'Order #5'", '"Order #5"', "Order#5", "Order '#'5", '"Order" # why', "|\n        Order #5"]
)
def test_a_text_that_is_whole_is_no_warning(text: str) -> None:
    assert warned(mail(subject=text) if "|" not in text else mail(text=text)) == []


TRUTHS = [form(word) for word in ("yes", "no", "on", "off", "true", "false") for form in (str, str.title, str.upper)]
NUMBERS = ["007", "0x1F", "0o17", "0b11", "1_000", "1_0.5", ".5", "5.", "-012", ".inf", "-.INF", ".NaN", "00.5"]


@pytest.mark.parametrize("word", sorted({*TRUTHS} - {"true", "false"}) + NUMBERS)
def test_a_word_in_a_body_that_other_readers_take_for_another_type_is_a_warning_and_stays_a_text(word: str) -> None:
    source = body(f"{{a: [1, {word}]}}")
    [warning] = warned(source)
    assert warning.startswith(f"line 4: a.webhook.body.a[1]: {word} is the text '{word}' here")
    journey = check(source).journey
    assert journey is not None
    assert as_dict(journey)["steps"][0]["webhook"]["body"] == {"a": [1, word]}
    assert warned(body(f"{{a: [1, '{word}']}}")) == []


def test_what_is_a_text_for_everyone_or_a_type_of_json_is_no_warning() -> None:
    words = "true, false, null, ~, 1, -1.5e3, 08:00, 2026-01-31, +4712345678, yes and no, onwards, 1.2.3, v1_0, '007'"
    assert warned(body(f"[{words}]")) == []
    assert warned(json.dumps({"journey": 1, "steps": [{"id": "a", "email": MAIL | {"subject": "Order #5"}}]})) == []


def test_words_outside_of_a_body_are_texts_and_never_a_warning() -> None:
    assert (
        warned(in_steps("{id: yes, wait: 1 day, next: no}", "{id: no, wait: 08h, next: 007}", "{id: 007, exit: {}}"))
        == []
    )


def test_an_anchor_that_takes_a_word_away_is_a_warning() -> None:
    [warning] = warned(mail(subject="&Friends of ours"))
    assert warning.startswith("line 7: YAML takes &Friends for an anchor and leaves it out")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{{ name }}", "a text that begins with {{ stands in quotes"),
        ("{{ name }}, hello", "a text that begins with {{ or {% stands in quotes"),
        ("{% if x %}a{% endif %}", "a text that begins with {{ or {% stands in quotes"),
        ("Sale: everything", "a text that contains a colon and a blank stands in quotes"),
        ("@you", "a text that begins with @ stands in quotes"),
        ("%5", "a text that begins with % stands in quotes"),
        ("`x`", "a text that begins with ` stands in quotes"),
        ("*bold*", "a text that begins with * stands in quotes"),
        ("*bold", "a text that begins with * in quotes"),
        ("!important", "a text that begins with ! stands in quotes"),
        ("'Hi' there", "a text that begins with ' stands in quotes as a whole"),
        ("[x] y", "a text that begins with [ stands in quotes"),
        ("- 5 %", "a text that begins with - stands in quotes"),
    ],
)
def test_a_text_that_needs_quotes_is_a_problem_that_says_so(text: str, hint: str) -> None:
    assert any(each.line == 7 and hint in each.message for each in check(mail(subject=text)).problems)


@pytest.mark.parametrize("number", ["1e999999999", "-1e400", "9" * 301, "-" + "9" * 400])
def test_a_number_out_of_bounds_is_a_problem_without_words_of_python(number: str) -> None:
    bodies = [str(each) for each in check(body(f"{{a: [{number}]}}")).problems]
    assert len(bodies) == 1
    assert bodies[0].startswith("line 4: a.webhook.body.a[0]: the number ")
    weights = check(
        in_steps(f"{{id: a, ab: [{{weight: {number}, to: b}}, {{weight: 1, to: b}}]}}", "{id: b, exit: {}}")
    )
    assert [str(each) for each in weights.problems] == [
        "line 3: a.ab[0].weight: a weight is a positive number, like 50 or 0.5"
    ]
    for field in ("wait: {} days", "wait: P{}D"):
        told = " ".join(str(each) for each in check(in_steps(f"{{id: a, {field.format(number)}}}")).problems)
        assert "is no duration" in told and "Error" not in told


@pytest.mark.parametrize(
    ("written", "meant"),
    [("TO", "to"), ("replyTo", "reply_to"), ("reply-to", "reply_to"), ("Subject", "subject"), ("form", "from")],
)
def test_a_misspelt_key_is_told_with_the_nearest_and_all_good_ones(written: str, meant: str) -> None:
    found = [each.message for each in check(mail(**{written: "x"})).problems]
    expected = f"unknown key '{written}'; did you mean '{meant}'? The keys here are from, to, subject, text, html"
    assert any(each.startswith(expected) for each in found), found


def test_uses_are_the_properties_that_segments_and_templates_ask_for_with_their_lines() -> None:
    source = in_steps(
        "{id: a, split: [{if: 'x.y = 1 and contact.z and id = 2', to: b}], next: b}",
        "{id: b, webhook: {url: 'https://x.example/{{ u }}', headers: {X: '{{ h.k[0].l }}'},"
        " body: {c: ['{{ contact[\"d e\"] }} {% for i in l %}{{ i.n }}{% endfor %} {{ id }} {{ contact.id }}']}}}",
    )
    assert {(each.line, each.where, ".".join(each.names)) for each in check(source).uses} == {
        (3, "a.split[0].if", "x.y"),
        (3, "a.split[0].if", "z"),
        (4, "b.webhook.url", "u"),
        (4, "b.webhook.headers.X", "h.k"),
        (4, "b.webhook.body.c[0]", "d e"),
        (4, "b.webhook.body.c[0]", "l"),
    }


PIECES: Any = st.lists(st.sampled_from([*"#&*!{}[]:,'\"\n- ", "a: ", "{{ x }}", "  ", "yes", "007"]), max_size=20)


@settings(deadline=None, max_examples=many(300))
@given(PIECES.map("".join))
def test_any_text_is_checked_without_an_error(text: str) -> None:
    for source in (text, mail(subject=text), body(text)):
        found = check(source)
        assert found.problems or found.journey
        assert all(0 <= each.line <= source.count("\n") + 2 for each in (*found.problems, *found.warnings))


BRANCH = " or ".join(f"x{n} = 1" for n in range(20))
LARGE = {
    "comments": "journey: 1\nsteps:\n- id: a\n  webhook:\n    url: https://x.example\n    body:\n"
    + "    - a #1\n" * 40_000,
    "segments": in_steps(*[f"{{id: s{n}, split: [{{if: {BRANCH}, to: s{n + 1}}}]}}" for n in range(300)]),
}


@pytest.mark.parametrize("name", LARGE)
def test_no_large_file_is_looked_through_without_end(name: str) -> None:
    before = thread_time()
    assert len(check(LARGE[name]).warnings) <= 1_001
    assert thread_time() - before < 8
