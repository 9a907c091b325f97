"""Journey files: read whole, every problem with its line, and written so that they can be read again."""

import json
from time import thread_time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.channels.registry import STEP_TYPES
from caravan.errors import InvalidDefinition, NotFound
from caravan.journeys.definition import as_dict, load_journey, read_journey
from caravan.journeys.model import Journey
from tests.examples import many

SPRING = """\
journey: 4711
name: Spring sale
steps:
  - id: vip_or_not
    split:
      - if: attributeName = 'yes' and ltv >= 100
        to: vip_offer
      - else: offer
  - id: vip_offer
    email:
      from: Shop <shop@example.com>
      to: "{{ emailAddress }}"
      subject: "{{ firstname | default: 'Friend' }}, this is for you"
      text: one
      html: <p>two</p>
    next: three_days
  - id: offer
    email: {from: a@example.com, to: "{{ emailAddress }}", subject: Hi, text: three, on_unknown: resend}
    next: three_days
  - id: three_days
    wait: 3 days
    next: tell_crm
  - id: tell_crm
    webhook:
      url: https://crm.example.com/hooks
      body: {contact: "{{ id }}", n: 1, list: [1.5, true, null, no, 09:00]}
    on_unknown: resend
    next: on
  - id: on
    ab: [{weight: 50, to: no}, {weight: 0.5, to: 1_000}]
  - id: no
    exit: {}
  - id: 1_000
    exit:
"""


def read(source: str) -> Journey:
    """A journey with the real step types."""
    return read_journey(source, STEP_TYPES)


def problems(source: str) -> list[str]:
    """What is wrong with a file, as it is shown."""
    with pytest.raises(InvalidDefinition) as refused:
        read(source)
    assert refused.value.problems == sorted(refused.value.problems)
    return [str(each) for each in refused.value.problems]


def in_steps(*steps: str) -> str:
    """A file with these steps, the first of them in line 3."""
    return "journey: 1\nsteps:\n" + "\n".join(f"  - {step}" for step in steps)


def test_a_journey_is_read_with_all_its_steps() -> None:
    journey = read(SPRING)
    assert (journey.journey, journey.name, journey.entry.id) == (4711, "Spring sale", "vip_or_not")
    kinds = ["split", "email", "email", "wait", "webhook", "ab", "exit", "exit"]
    assert [step.kind for step in journey.steps] == kinds
    assert journey.step("three_days").next == "tell_crm"
    with pytest.raises(NotFound, match="no step nix"):
        journey.step("nix")


def test_words_that_yaml_takes_for_something_else_stay_what_they_are() -> None:
    journey = read(SPRING)
    assert journey.step("on").targets() == [("ab[0].to", "no"), ("ab[1].to", "1_000")]
    body = as_dict(journey)["steps"][4]["webhook"]["body"]
    assert body == {"contact": "{{ id }}", "n": 1, "list": [1.5, True, None, "no", "09:00"]}
    source = in_steps("{id: 2026-01-31, split: [{if: yes = '12:30:45', to: off}], next: off}", "{id: off, exit: ~}")
    assert read(source).entry.id == "2026-01-31"
    assert as_dict(read(source))["steps"][0]["split"] == [{"if": "yes = '12:30:45'", "to": "off"}]


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("ascii", [True, False])
def test_what_is_written_is_read_again_as_the_same(indent: int | str | None, ascii: bool) -> None:
    journey = read(SPRING.replace("Spring sale", "Vår 🌷 \u2028".strip("\u2028 ")))
    definition = as_dict(journey)
    text = json.dumps(definition, indent=indent, ensure_ascii=ascii)
    assert read(text) == journey
    assert as_dict(read(text)) == definition == as_dict(load_journey(definition, STEP_TYPES))
    assert read(yaml.safe_dump(definition, allow_unicode=not ascii)) == journey


def test_a_journey_without_a_name_is_called_by_its_number() -> None:
    assert read("journey: 7\nsteps: [{id: a, exit: {}}]").name == "Journey 7"


def test_all_problems_are_told_at_once_each_with_its_line() -> None:
    found = problems(
        """\
journey: 0x10
naem: Spring
steps:
  - id: a
    split:
      - else: b
      - if: x ==
        to: nix
      - iff: 1
  - id: a
    email: {from: shop, to: "{{ e", subjct: x}
  - id: w
    wait: {until: x}
    next: h
  - id: h
    webhook:
      url: ftp://x
      method: GET
      headers: {X: "{{ a | b }}"}
  - foo
  - wait: 1 day
    email: {}
  - id: c
    pigeon: {}
"""
    )
    told = [
        "line 1: journey: a journey's number",
        "line 2: unknown key 'naem'; did you mean 'name'?",
        "line 6: a.split[0].else: there is no step 'b'",
        "line 7: a.split[1].if: the segment can't be read near",
        "line 8: a.split[1].to: there is no step 'nix'",
        "line 9: a.split[2].iff: unknown key 'iff'; did you mean 'if'?",
        "line 10: a.id: the id is taken by the step in line 4",
        "line 11: a.email.from: 'shop' is no address",
        "line 11: a.email.subjct: unknown key 'subjct'; did you mean 'subject'? The keys here are from, to, subject",
        "line 11: a.email.subject: 'subject' is missing",
        "line 11: a.email.to: the template can't be read",
        "line 12: w: no contact ever reaches this step",
        "line 13: w.wait.until: 'x' is no date like 2026-01-31",
        "line 17: h.webhook.url: 'ftp://x' is no address",
        "line 18: h.webhook.method: input should be 'POST', 'PUT' or 'PATCH'",
        "line 19: h.webhook.headers.X: there is no filter b",
        "line 20: steps[4]: a step has an id and one of email",
        "line 22: steps[5].email: a step does one thing, but this has wait and email",
        "line 24: c.pigeon: unknown key 'pigeon'",
    ]
    for sentence in told:
        assert any(each.startswith(sentence) for each in found), (sentence, found)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("[]", "line 1: a journey has the keys"),
        ("journey", "line 1: a journey has the keys"),
        ("journey: 1\n---\njourney: 2\n", "line 2: the file holds several documents"),
        ("journey: 1\n\tsteps: []", "line 2: this is not valid YAML: found a tab"),
        ("journey: 1\nsteps: [\n", "this is not valid YAML"),
        ("journey: 1\nname: a: b", "line 2: this is not valid YAML"),
        ("journey: 1\nname: \x01", "line 2: the file contains a character"),
        ("journey: 1\njourney: 2\nsteps: [{id: a, exit: {}}]", "line 2: the key 'journey' stands here twice"),
        ('{"journey": 1,\n "journey": 2}', "line 2: the key 'journey' stands here twice"),
        ("journey: 1\nsteps: &a\n  - *a", "line 3: the alias *a can't be used"),
        ("journey: 1\nsteps: !!python/object:os.system []", "line 2: the tag"),
        ("? [a]\n: b", "line 1: a key must be a word"),
        ("steps: [{id: a, exit: {}}]", "line 1: the journey's number is missing"),
        ("journey: x\nsteps: [{id: a, exit: {}}]", "line 1: journey: a journey's number"),
        ("journey: 0\nsteps: [{id: a, exit: {}}]", "line 1: journey: a journey's number"),
        ("journey: 9223372036854775808\nsteps: [{id: a, exit: {}}]", "line 1: journey: a journey's number"),
        ("journey: [1]\nsteps: [{id: a, exit: {}}]", "line 1: journey: a journey's number"),
        ("journey: 1\nname: [x]\nsteps: [{id: a, exit: {}}]", "line 2: name: a name is one line"),
        ('journey: 1\nname: "x\\ny"\nsteps: [{id: a, exit: {}}]', "line 2: name: a name is one line"),
        ("journey: 1", "line 1: a journey needs steps"),
        ("journey: 1\nsteps:", "line 2: a journey needs steps"),
        ("journey: 1\nsteps: []", "line 2: a journey needs steps"),
        ("journey: 1\nsteps: {a: 1}", "line 2: a journey needs steps"),
        (in_steps("{exit: {}}"), "line 3: steps[0].id: 'id' is missing"),
        (in_steps("{id: a b, exit: {}}"), "line 3: a b.id: an id is a word"),
        (in_steps("{id: a}"), "line 3: a: the step does nothing"),
        (in_steps("{id: a, next: b}", "{id: b, exit: {}}"), "line 3: a: the step does nothing"),
        (in_steps("{id: a, exit: {}, emial: {}}"), "unknown key 'emial'; did you mean 'email'?"),
        (in_steps("{id: a, wait: 1 day, on_unknown: skip}"), "line 3: a.on_unknown: unknown key"),
        (in_steps("{id: a, email: x}"), "line 3: a.email: below email stand the keys from, to"),
        (in_steps("{id: a, email: [x]}"), "line 3: a.email: below email stand the keys from, to"),
        (in_steps("{id: a, exit: {x: 1}}"), "line 3: a.exit.x: unknown key 'x'"),
        (in_steps("{id: a, exit: {next: b}}"), "line 3: a.exit.next: 'next' stands beside exit"),
        (in_steps("{id: a, wait: 1 day, next: [b]}"), "line 3: a.next: this must be a text"),
        (in_steps("{id: a, wait: 1 day, next: bb}", "{id: bbb, exit: {}}"), "no step 'bb'; did you mean 'bbb'?"),
        (in_steps("{id: a, wait: 1 day}", "{id: b, exit: {}}"), "line 4: b: no contact ever reaches this step"),
        (in_steps("{id: a, wait: 0s, next: a}"), "line 3: a: this circle has no wait in it: a → a"),
        ("x" * (1 << 20) + "x", "larger than 1 MiB"),
        ("[" * 100_000, "line 1: the file is nested deeper than 64 levels"),
        ('{"a":' * 100_000, "line 1: the file is nested deeper than 64 levels"),
        ("a: " + "- " * 1000 + "x", "line 1"),
        ("journey: \ud800", "UTF-8"),
    ],
    ids=lambda value: value[:40],
)
def test_a_mistake_is_told_in_a_sentence_with_its_line(source: str, message: str) -> None:
    assert any(message in each for each in problems(source)), problems(source)


def test_circles_are_told_one_by_one_and_a_wait_makes_them_right() -> None:
    url = "webhook: {url: 'https://x.example'}"
    steps = [
        "{id: a, split: [{if: x, to: b}], next: d}",
        f"{{id: b, {url}, next: c}}",
        f"{{id: c, {url}, next: b}}",
        f"{{id: d, {url}, next: e}}",
        f"{{id: e, {url}, next: d}}",
    ]
    found = problems(in_steps(*steps))
    assert [each[-len("b → c → b") :] for each in found] in ([*map("{0} → {1} → {0}".format, "bd", "ce")], found)
    assert len(found) == 2
    steps[2], steps[4] = "{id: c, wait: 1m, next: b}", "{id: e, wait: 1m, next: d}"
    assert read(in_steps(*steps))


def test_a_broken_step_does_not_make_others_look_unreachable() -> None:
    found = problems(in_steps("{id: a, split: [{if: '=', to: b}, {else: c}]}", "{id: b, wait: x, next: d}",
                              "{id: c, email: {}, next: d}", "{id: d, exit: {}}"))  # fmt: skip
    assert not [each for each in found if "reaches" in each or "no step" in each]
    assert {each.split(":")[0] for each in found} == {"line 3", "line 4", "line 5"}


def test_json_is_read_strictly_with_its_lines_and_escapes() -> None:
    source = '{"journey": 5,\r\n\t"name": "\\ud83c\\udf37 \\/ \\u00e5",\n "steps": [\n{"id": "a", "exit": {"x": 1}}]}'
    assert problems(source)[0].startswith("line 4: a.exit.x")
    assert read(source.replace('"x": 1', "")).name == "🌷 / å"
    assert read("{journey: 5, steps: [{id: a, exit: {}}]}").journey == 5  # YAML's own braces


URL = "webhook: {url: 'https://x.example'}"
LARGE = {
    "waits": in_steps(*[f"{{id: s{n}, wait: 1 day, next: s{n + 1}}}" for n in range(1_000)]),
    "circles": in_steps(*[f"{{id: s{n}, {URL}, next: s{n ^ 1}}}" for n in range(1_000)]),
    "targets": in_steps(*[f"{{id: number_{n}, wait: 1d, next: numbr_{n}}}" for n in range(1_000)]),
    "steps": in_steps(*["{id: a, exit: {}}"] * 50_000),
    "keys": in_steps("{id: a, exit: {" + ",".join(f"k{n}: 1" for n in range(50_000)) + "}}"),
    "list": "journey: 1\nsteps: [" + "[" * 60 + "x," * 100_000,
}


@pytest.mark.parametrize("name", LARGE)
def test_no_large_file_takes_long_or_tells_without_end(name: str) -> None:
    before = thread_time()
    assert 1 <= len(problems(LARGE[name])) <= 1_001
    assert thread_time() - before < 8


def test_a_journey_of_a_thousand_steps_is_fine() -> None:
    steps = [f"{{id: s{n}, wait: 1 day, next: s{n + 1}}}" for n in range(999)]
    assert len(read(in_steps(*steps, "{id: s999, exit: {}}")).steps) == 1_000


letters = st.characters(exclude_categories=["Cs"], exclude_characters="{")
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values: Any = st.recursive(
    st.none() | st.booleans() | numbers | st.text(letters, max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(letters), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(json_values)
def test_any_body_of_a_webhook_comes_back_as_it_was(body: Any) -> None:
    step = {"id": "a", "webhook": {"url": "https://example.com", "body": body}}
    definition = {"journey": 1, "name": "x", "steps": [step]}
    again = as_dict(read(json.dumps(definition, ensure_ascii=False)))["steps"][0]["webhook"].get("body")
    assert again == body and json.dumps(again) == json.dumps(body)


WORDS = "journey: name steps: - id: a b email: {from: to: wait: 3 days split: [ ] { } if: else: next: , & * ! | > ' # %"
PIECES = [*WORDS.split(" "), "\n  ", "\n    ", "\n---\n", "\t", "~", '"', "\n ", "\n "]


@settings(deadline=None, max_examples=many(300))
@given(st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join) | st.text(max_size=40))
def test_any_text_is_a_journey_or_has_problems_in_lines_that_exist(source: str) -> None:
    try:
        read(source)
    except InvalidDefinition as error:
        assert error.problems
        assert all(0 <= each.line <= len(source.splitlines()) + 1 for each in error.problems)
