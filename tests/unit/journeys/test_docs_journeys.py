"""docs/journeys.md says what the code does: its examples pass the real checker, its lists are complete."""

import re
from pathlib import Path

import pytest

from caravan.channels.headers import RESERVED
from caravan.channels.registry import STEP_TYPES
from caravan.journeys.definition import read_journey
from caravan.journeys.placeholders import ContactView, compile_template
from caravan.journeys.placeholders.engine import TAGS
from caravan.journeys.placeholders.filters import FILTERS
from caravan.journeys.segment_reader import FUNCTIONS, UNITS
from caravan.journeys.segments import compile_with_warnings

PAGE = (Path(__file__).parents[3] / "docs" / "journeys.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The examples in one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def section(title: str) -> str:
    """The text below a heading."""
    return re.split(r"\n##+ ", PAGE.split(f"# {title}\n")[1])[0]


@pytest.mark.parametrize("example", blocks("yaml"))
def test_each_journey_in_the_docs_passes_the_checker(example: str) -> None:
    assert read_journey(example, STEP_TYPES).steps


def test_the_docs_use_every_step_type() -> None:
    used = {step.kind for example in blocks("yaml") for step in read_journey(example, STEP_TYPES).steps}
    assert used == set(STEP_TYPES)


@pytest.mark.parametrize("example", [line for block in blocks("segments") for line in block.splitlines()])
def test_each_segment_in_the_docs_can_be_read(example: str) -> None:
    segment, warnings = compile_with_warnings(example)
    assert segment.paths and not warnings


def test_the_templates_in_the_docs_can_be_filled() -> None:
    [example] = blocks("templates")
    contact = ContactView(
        "1", {"points": 5, "until": "2026-01-31", "city": "Oslo", "tags": ["a", "b"], "first name": "Bo"}
    )
    text = compile_template(example).render(contact)
    assert "Friend, your 15 points end on 31.01.2026.\nSee you at the shop." in text
    assert "a, b, Bo" in text


@pytest.mark.parametrize("kind", STEP_TYPES)
def test_every_field_of_a_step_type_is_in_the_docs(kind: str) -> None:
    step_type = STEP_TYPES[kind]
    fields = {field.alias or name for name, field in step_type.model_fields.items()} - {"id", "next", step_type.sole}
    assert {field for field in fields if f"`{field}`" not in section(f"`{kind}`")} == set()


def test_every_function_filter_tag_and_unit_is_in_the_docs() -> None:
    segments, placeholders = section("Segments"), section("Placeholders")
    assert {name for name in FUNCTIONS if f"`{name}`" not in segments and f"`{name}()`" not in segments} == set()
    assert {name for name in {*FILTERS, *TAGS} - {"#"} if f"`{name}`" not in placeholders} == set()
    assert {unit for unit in UNITS if unit not in PAGE} == set()


def test_every_header_that_a_webhook_can_not_set_is_in_the_docs() -> None:
    assert {name for name in RESERVED if f"`{name}`" not in section("`webhook`").lower()} == set()
