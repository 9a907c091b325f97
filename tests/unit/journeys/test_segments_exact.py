"""Numbers that share a double are told apart: DuckDB, the plain reading and plain arithmetic say the same."""

import json
import operator
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction

import duckdb
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from caravan.journeys.segments import compile_segment, first_true
from tests.examples import many
from tests.unit.journeys.segments_plain import matches

NOW = datetime(2026, 3, 31, tzinfo=UTC)
MEANT = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# Around powers of two and of ten, where doubles are far apart and digits are gained.
EDGES = st.sampled_from([2**53, 2**54, 2**63, 2**64, 10**16, 10**17, 10**18, 10**30, 10**37])


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[str, str]:
    """A number as a property's text, and one close to it as a literal."""
    edge, sign = draw(EDGES), draw(st.sampled_from(["", "-"]))
    first, second = (edge + draw(st.integers(-3, 3)) for _ in range(2))
    fractions = [".0", ".5", ".25"] if edge < 10**31 else [".0"]
    fraction = st.sampled_from(["", "", *fractions])
    return f"{sign}{first}{draw(fraction)}", f"{sign}{second}{draw(fraction)}"


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


def ask(duck: duckdb.DuckDBPyConnection, segment: str, properties: dict[str, str]) -> bool:
    """What DuckDB says; the plain reading must say the same."""
    query = f"WITH contacts AS (SELECT ? AS properties) {first_true([compile_segment(segment)], NOW)}"
    [(arm,)] = duck.execute(query, [json.dumps(properties)]).fetchall()
    assert (arm == 0) is matches(segment, properties, NOW)
    return bool(arm == 0)


@settings(max_examples=many(200), deadline=None, suppress_health_check=list(HealthCheck))
@given(neighbours(), st.sampled_from(list(MEANT)))
@example(("9007199254740993", "9007199254740992"), "=")
@example(("9007199254740993.5", "9007199254740994"), "<")
def test_every_comparison_is_that_of_the_digits(
    duck: duckdb.DuckDBPyConnection, numbers: tuple[str, str], op: str
) -> None:
    written, literal = numbers
    number, other = Fraction(written), Fraction(literal)
    whole = number.denominator == other.denominator == 1
    assume(whole or abs(float(written)) >= 2**53 <= abs(float(literal)))  # below, decimals are doubles, as documented
    meant = MEANT[op](number, other)
    assert ask(duck, f"n {op} {literal}", {"n": written}) is meant
    assert ask(duck, f"{literal} {op} n", {"n": written}) is MEANT[op](other, number)
    assert ask(duck, f"coalesce(m, n, 1) {op} {literal}", {"n": written, "m": "none"}) is meant
    assert ask(duck, f"not coalesce(n, m) {op} {literal}", {"n": written}) is not meant
    assert ask(duck, f"n in (1, {literal})", {"n": written}) is (number == other)
    assert ask(duck, f"n between {literal} and {literal}", {"n": written}) is (number == other)
    assert ask(duck, f"{literal} {op} {written}", {}) is MEANT[op](other, number)
