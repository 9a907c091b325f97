"""Properties that a journey uses and a file of contacts never has, with the names that were probably meant."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from caravan.channels.registry import STEP_TYPES
from caravan.intake import properties as intake
from caravan.intake.properties import Properties
from caravan.intake.reading import Limits, read_contacts
from caravan.journeys.check import check_journey
from caravan.journeys.unknown_properties import unknown_properties
from caravan.settings import Settings
from tests.unit.journeys.test_definition import in_steps

PEOPLE: list[dict[str, Any]] = [
    {"firstname": "Bo", "address": {"city": "Oslo", "o'k/~": 1}, "tags": ["a", {"deep": 1}], "mixed": {"a": 1}},
    {"Lastname": None, "address": {"zip": "007"}, "mixed": [1]},
    {},
]


@pytest.fixture
def known(tmp_path: Path) -> Iterator[Properties]:
    """The properties of a file that was read as the server reads it; bad rows don't count."""
    rows = [json.dumps({"id": str(number), "properties": each}) for number, each in enumerate(PEOPLE)]
    file, folder = tmp_path / "contacts.ndjson", tmp_path / "parts"
    file.write_text("\n".join([*rows, '{"properties": {"lost": 1}}', "nonsense"]))
    folder.mkdir()
    with Properties(read_contacts(file, folder, Limits.from_settings(Settings())).parts) as properties:
        yield properties


def told(known: Properties, *, segment: str = "", template: str = "") -> list[str]:
    """What is missing for a segment or a template."""
    steps = [f"{{id: a, split: [{{if: {json.dumps(segment or '1 = 1')}, to: b}}], next: b}}"]
    url = json.dumps(f"https://x.example/{template}")
    found = check_journey(in_steps(*steps, f"{{id: b, webhook: {{url: {url}}}}}"), STEP_TYPES)
    assert found.journey is not None, found.problems
    return [str(each) for each in unknown_properties(found.uses, known)]


def test_a_property_that_no_contact_has_is_told_with_the_nearest_name(known: Properties) -> None:
    assert told(known, segment="firstName = 'Bo'") == [
        "line 3: a.split[0].if: no contact of the file has the property firstName; did you mean firstname?"
    ]
    assert told(known, template="{{ fristname }}") == [
        "line 4: b.webhook.url: no contact of the file has the property fristname; did you mean firstname?"
    ]
    [far] = told(known, segment="ltv > 3")
    assert far.endswith("has the property ltv; there are Lastname, address, firstname, mixed, tags")
    [lost] = told(known, segment="lost = 1")
    assert "property lost" in lost


def test_a_nested_property_is_looked_for_where_it_is(known: Properties) -> None:
    assert told(known, segment="address.city = 'Oslo' and address.zip = '007' and address.\"o'k/~\" = 1") == []
    [nested] = told(known, template="{{ address.citty }}")
    assert nested.endswith("no contact of the file has the property address.citty; did you mean address.city?")
    [missing] = told(known, segment="adress.city = 'Oslo'")
    assert missing.endswith("property adress; did you mean address?")
    [leaf] = told(known, segment="firstname.x = 1")
    assert leaf.endswith("no contact of the file has the property firstname.x")


def test_what_is_there_or_can_not_be_known_is_not_told(known: Properties) -> None:
    assert (
        told(known, segment="id = '1' and contact.id = '1' and contact.firstname = 'x' and \"Lastname\" is null") == []
    )
    assert told(known, segment="tags.\"0\" = 'a' and mixed.b = 1") == []
    text = "{{ id }}{{ FirstName }}{{ contact.LASTNAME }}{{ address.CITY }}"
    text += "{{ tags.first }}{{ tags[1].deep }}{{ tags.size }}"
    assert told(known, template=text + "{% assign own = 1 %}{{ own }}{{ firstname.size }}") == []


def test_names_without_end_are_not_looked_through(known: Properties, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MAX_NAMES", 3)
    assert told(known, segment="ltv = 1") == []
    assert told(known, segment="firstname.x = 1 and address.citty = 1") == []


def test_a_file_without_contacts_has_no_property() -> None:
    with Properties([]) as known:
        [missing] = told(known, template="{{ x }}")
    assert missing.endswith("no contact of the file has the property x")
