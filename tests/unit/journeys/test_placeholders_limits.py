"""The limit of a rendering: about a second of the processor and a bounded memory, whatever a template is made of."""

import tracemalloc
from collections.abc import Iterator
from time import thread_time
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from caravan.errors import RenderFailed
from caravan.journeys.placeholders import ContactView, compile_template, engine
from caravan.journeys.placeholders.filters import FILTERS
from caravan.journeys.placeholders.limits import MAX_OUTPUT, MAX_SECONDS
from tests.examples import few
from tests.unit.journeys.test_placeholders import filter_calls

LIMIT = few(MAX_SECONDS)
MOST = LIMIT + 2 * MAX_SECONDS  # seconds of a core that has others to serve
BIG = ContactView(
    "1",
    {
        "a": "aB <&;%\n" * 125_000,
        "b": "x" * 1_000_000,
        "c": {f"k{number}": "v" * 90 for number in range(9_900)},
        "d": [f"{number:0100d}" for number in range(9_990)],
        "e": list(range(300_000)),
        "f": [[{"a": [1, 2, {"b": number}]} for number in range(9)] for _ in range(9_000)],
        "g": "&lt; " * 200_000,
        "h": "äß€" * 300_000,
        "n": "9" * 299,
        "same": "x" * 1_000_000,
        "almost": "x" * 500 + "y",
        "spaced": " " * 900_000 + "1",
        "digits": "9" * 900_000 + "x",
        "small": "one Two  three",
    },
)


@pytest.fixture(autouse=True, scope="module")
def limit() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "MAX_SECONDS", LIMIT)
        yield


def work(template: str, *, html: bool = False, contact: ContactView = BIG) -> str:
    """The text or the sentence, which came within the time that there is."""
    compiled = compile_template(template, html=html)
    begun = thread_time()
    try:
        return compiled.render(contact)
    except RenderFailed as failed:
        return failed.message
    finally:
        assert thread_time() - begun < MOST


chains = st.tuples(
    st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h", "n", "small", "contact"]),
    st.lists(filter_calls(), min_size=1, max_size=4),
    st.sampled_from([1, 10, 4_000]),
)


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@example(chain=("a", [" | squish"], 4_000), html=False)
@example(chain=("g", [" | escape_once", " | upcase"], 4_000), html=True)
@given(chain=chains, html=st.booleans())
def test_any_chain_of_filters_ends_in_time(chain: tuple[str, list[str], int], html: bool) -> None:
    name, filters, times = chain
    repeated = "".join(filters) * max(1, min(times, 200_000 // len("".join(filters))))
    work("{{ " + name + repeated + " }}", html=html)


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(
    pieces=st.lists(
        st.one_of(
            st.builds("{{{{ {}{} | size }}}}".format, st.sampled_from("abcdefgh"), filter_calls()),
            st.tuples(
                st.sampled_from("abcdefgh"),
                st.sampled_from(["==", "!=", "contains", "<", ">="]),
                st.sampled_from(["a", "b", "same", "almost", "d", "f", "c", "'zz'", "empty", "contact"]),
            ).map(lambda parts: "{% if " + " ".join(parts) + " %}x{% endif %}"),
            st.sampled_from("abcdefgh").map(
                lambda name: f"{{% for i in {name} limit: 3 %}}{{{{ i | size }}}}{{% endfor %}}"
            ),
            st.sampled_from("abcdefgh").map(lambda name: f"{{% capture y %}}{{{{ {name} }}}}{{% endcapture %}}"),
            st.sampled_from("abcdefgh").map(lambda name: f"{{% assign z = {name} | append: '§' | split: '§' %}}"),
            st.sampled_from("abcdefgh").map(lambda name: f"{{% case {name} %}}{{% when same %}}x{{% endcase %}}"),
            st.just("{{ contact.Miss }}{{ c.Miss }}{{ c[a] }}{{ contact.size }}"),
            st.just("{% assign y = y | concat: z %}{{ y | sort_natural | join | size }}"),
        ),
        min_size=1,
        max_size=4,
    ),
    times=st.sampled_from([1, 100, 1_000]),
    looped=st.booleans(),
    html=st.booleans(),
)
def test_any_mixture_of_tags_ends_in_time(pieces: list[str], times: int, looped: bool, html: bool) -> None:
    body = "".join(pieces)
    body *= max(1, min(times, 300_000 // len(body)))
    work("{% for j in (1..9999) %}" + body + "{% endfor %}" if looped else body, html=html)


SLOW = {
    "cheap filters on a large text": "{{ a" + " | upcase | downcase" * 2_000 + " }}",
    "cheap filters in a loop": "{% for i in (1..10000) %}{{ small" + " | upcase" * 400 + " }}{% endfor %}",
    "contains": "{% if b contains 'zz' %}{% endif %}" * 5_000,
    "contains, one letter off": "{% if b contains almost %}{% endif %}" * 5_000,
    "contains in a list": "{% if e contains 'zz' %}{% endif %}" * 5_000,
    "equal texts": "{% if b == same %}{% endif %}" * 5_000,
    "equal objects": "{% if f == f %}{% endif %}" * 5_000,
    "a case of many values": "{% case b %}{% when " + "same, " * 50_000 + "1 %}{% endcase %}",
    "replace": "{{ b " + "| replace: 'x', 'y' | replace: 'y', 'x' " * 9_000 + "}}",
    "split": "{{ b | split: 'x' | size }}" * 9_000,
    "names that are not there": "{{ c.Miss }}{{ Miss }}" * 8_000,
    "variables": "".join(f"{{% assign v{number} = 1 %}}" for number in range(19_000)),
    "captures": "{% capture y %}{{ a }}{% endcapture %}" * 4_000,
    "captures in a block of blanks": "{% if a %}" + "{% capture y %}{{ a }}{% endcapture %}" * 4_000 + "{% endif %}",
    "loops one after the other": "{% for i in (1..10000) %}{% endfor %}" * 3_000,
    "a loop with a long body": "{% for i in (1..10000) %}" + "{% if i == a %}{% endif %}" * 5_000 + "{% endfor %}",
    "loops over objects": "{% for i in c limit: 1 %}{% endfor %}" * 4_000,
    "dates": "{{ 'March 14, 2016' | date: '%c' }}" * 5_000,
    "money": "{{ 5 | money: 'EUR' }}" * 20_000,
    "long numbers": "{{ n " + "| times: 1.5 | divided_by: 1.5 " * 15_000 + "}}",
    "cycles": "{% cycle a, b %}" * 30_000,
    "lists in memory": "{% for i in (1..9999) %}{% assign z = b | append: i | split: '§' %}"
    "{% assign y = y | concat: z %}{% endfor %}{{ y | size }}",
    "one object many times": "{% assign y = c | compact %}"
    + "{% assign y = y | concat: y %}" * 13
    + "{{ y | append: 1 }}",
    "loops without a turn over objects": "{% for i in c limit: 0 %}{% endfor %}" * 8_000,
    "digits that are no number": "{{ n | plus: digits | times: 0 }}{% if spaced < 1 %}{% endif %}" * 5_000,
    "a reversed range": "{% for i in (1..999999999999999999999) reversed %}{% break %}{% endfor %}",
    "a width of a date": ("{{ 5 | date: '" + "%999Y" * 190 + "' }}") * 500,
}


ENDS = {"variables", "names that are not there", "long numbers", "digits that are no number"}  # in time, with a text


@pytest.mark.parametrize("name", SLOW)
def test_no_template_works_without_end(name: str) -> None:
    sentence = work(SLOW[name], html=len(name) % 2 == 0)
    assert sentence.startswith("A placeholder can't be filled: ") or name in ENDS


GROWING = {"base64_encode", "json", "url_encode"}


@pytest.mark.parametrize("name", [name for name in FILTERS if not FILTERS[name].required and name not in GROWING])
def test_4000_cheap_filters_on_a_short_value_are_no_problem(name: str) -> None:
    assert not work("{{ small" + f" | {name}" * 4_000 + " }}").startswith("A placeholder")


def test_the_limit_is_the_same_on_every_machine_and_leaves_real_mails_room() -> None:
    basket = [{"name": f"chair {number}", "price": 12.5, "tags": ["a", "b"]} for number in range(1_000)]
    template = (
        "{% for item in basket %}{{ item.name | capitalize }}: {{ item.price | times: 1.2 | money: 'EUR', 'de_DE' }}"
        "{% if item.tags contains 'a' %} ({{ item.tags | join: ', ' }}){% endif %} {{ 'now' | date: '%d %B' }}\n"
        "{% endfor %}"
    )
    assert work(template, contact=ContactView("1", {"basket": basket})).count("15,00\xa0€ (a, b)") == 1_000


@pytest.mark.parametrize(
    "template",
    [
        SLOW["lists in memory"],
        SLOW["captures"],
        SLOW["one object many times"],
        "{% for i in (1..9999) %}{% assign z = a | append: i %}{% endfor %}",
        "{{ small }}" * 45_000,
        "{{ c }}" * 5_000,
        "{{ b | split: '' | size }}",
    ],
)
def test_no_template_takes_much_memory(template: str) -> None:
    compiled = compile_template(template)
    tracemalloc.start()
    try:
        compiled.render(BIG)
    except RenderFailed as failed:
        assert failed.message
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 60 * MAX_OUTPUT


def test_names_are_found_without_regard_to_case_in_time() -> None:
    many: dict[str, Any] = {f"Name{number}": number for number in range(20_000)}
    template = "".join(f"{{{{ name{number} }}}}{{{{ contact.NAME{number} }}}}" for number in range(3_000))
    assert work(template, contact=ContactView("1", many)).startswith("00112233")
