"""The split and exit steps' fields."""

from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pydantic import ValidationError

from caravan.clock import Clock
from caravan.steps.exit import Exit
from caravan.steps.split import Split


def split(*branches: dict[str, Any], **fields: Any) -> Split:
    """A split with these branches."""
    return Split.model_validate({"id": "s", "branches": branches, **fields})


def test_branches_are_tried_in_order_and_else_takes_the_rest() -> None:
    step = split({"if": "vip", "to": "a"}, {"if": "ltv > 1", "to": "b"}, {"else": "c"})
    assert step.conditions == [("vip", "a"), ("ltv > 1", "b")]
    assert step.otherwise == "c"
    assert step.targets() == [("split[0].to", "a"), ("split[1].to", "b"), ("split[2].else", "c")]
    assert not list(step.check())
    assert step.as_dict() == {
        "id": "s",
        "split": [{"if": "vip", "to": "a"}, {"if": "ltv > 1", "to": "b"}, {"else": "c"}],
    }


def test_without_else_the_rest_goes_on() -> None:
    assert split({"if": "vip", "to": "a"}, next="n").otherwise == "n"
    assert split({"if": "vip", "to": "a"}).otherwise is None


@pytest.mark.parametrize(
    ("branches", "fields", "where"),
    [
        ([], {}, "split"),
        ([{"else": "a"}], {}, "split"),
        ([{"else": "a"}, {"if": "vip", "to": "b"}], {}, "split[0].else"),
        ([{"if": "vip", "to": "b"}, {"else": "a"}, {"else": "c"}], {}, "split[1].else"),
        ([{"if": "vip", "to": "b"}, {"else": "a"}], {"next": "n"}, "next"),
    ],
)
def test_a_split_that_makes_no_sense_is_told(branches: Any, fields: Any, where: str) -> None:
    assert [each for each, _ in split(*branches, **fields).check()] == [where]


@pytest.mark.parametrize(
    "branch",
    [{}, {"if": "vip"}, {"to": "a"}, {"if": "vip", "to": "a", "else": "b"}, {"else": "a", "to": "b"},
     {"if": "vip ==", "to": "a"}, {"when": "vip", "to": "a"}, {"if": ["vip"], "to": "a"}],
)  # fmt: skip
def test_a_branch_has_if_and_to_or_else(branch: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        split(branch)


def test_an_exit_leads_nowhere() -> None:
    assert not list(Exit(id="x").check())
    assert [where for where, _ in Exit(id="x", next="y").check()] == ["next"]


NO_COUNTS: Any = SimpleNamespace(with_counts=lambda contacts, asked, now: contacts)


def test_a_split_by_the_contacts_id_reads_it_beside_the_properties() -> None:
    step = split({"if": "id = 'b'", "to": "one"}, {"if": "contact.id in ('a', 'c') and vip", "to": "two"})
    contacts = pa.table(
        {
            "line": [1, 2, 3, 4],
            "id": ["a", "b", "c", "d"],
            "properties": ['{"vip": true}', "{}", '{"id": "b"}', '{"vip": true}'],
        }
    )
    with duckdb.connect() as duck:
        assert step.choose(contacts, duck, Clock().now(), NO_COUNTS).tolist() == [1, 0, 2, 2]
