"""Generated conditions on generated contacts: DuckDB must say what other readings of the same condition say."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from caravan.errors import InvalidInput
from caravan.journeys.segments import compile_segment, first_true
from tests.unit.journeys.segments_plain import matches

NOW = datetime(2026, 3, 31, 12, 30, 15, 123456, tzinfo=UTC)
CHECKED = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that can reach nothing, in a time zone that would show."""
    with duckdb.connect(config={"enable_external_access": "false", "threads": 1}) as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        yield connection


def ask(duck: duckdb.DuckDBPyConnection, segment: str, rows: Sequence[dict[str, Any]], ascii: bool) -> list[bool]:
    """What DuckDB says of each row."""
    texts = [json.dumps(row, ensure_ascii=ascii) for row in rows]
    try:
        query = first_true([compile_segment(segment)], NOW)
    except InvalidInput as refused:  # the one limit that a generated segment can reach
        assert "texts together" in refused.message, refused
        reject()
    query = f"WITH contacts AS (SELECT unnest(?::VARCHAR[]) AS properties) {query}"
    return [arm == 0 for (arm,) in duck.execute(query, [texts]).fetchall()]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# Few names, letters and numbers, so that conditions often turn on them.
NAMES = ["a", "b", 'q" /~.', "o'k*"]
COMPARED = ["=", "<>", "!=", "<", "<=", ">", ">="]
TIMES = ["2026-03-31", "2026-03-31T12:30:15.123456Z", "2026-02-28 10:00+05:30", "2024-02-29T10:00", "2026-02-30"]
ODD = [" true ", "1e999", "0001-01-01T00:00+14:00", "null", "9" * 300, "", "日本", "1_0", " -1.50e1 ", "inf", "nan"]
TEXTS = st.text("aA%_'\\.é \n", max_size=3) | st.sampled_from([*TIMES, *ODD, "yes", "No", "1", "2.5", "007"])
NUMBERS = st.integers(-3, 3) | st.sampled_from(
    [0.5, 2.5, -0.0, 1e-7, 1e16, 1e21, 5e-324, 1.7e308, 10**17, 10**17 + 1, 10**30]
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
NESTED = st.lists(SCALARS, max_size=2) | st.dictionaries(st.sampled_from(NAMES), SCALARS, max_size=2)
ROWS = st.lists(
    st.fixed_dictionaries({"a": SCALARS, "b": SCALARS | NESTED}, optional=dict.fromkeys(NAMES[2:], SCALARS | NESTED)),
    min_size=8,
    max_size=16,
)

flat = st.sampled_from(NAMES).map(quoted)
properties = flat | flat | st.tuples(flat, flat).map(".".join) | flat.map(lambda name: name + '."0"')


@st.composite
def numbers(draw: st.DrawFn, depth: int = 2) -> str:
    """A number, of properties and literals."""
    forms = ["{p}", "{p}", "{n}", "length({t})"]
    if depth:
        forms += ["({x} + {y})", "({x} - {y})", "{x} * {y}", "{x} / ({y})", "-({x})", "abs({x})", "round({x}, 2)"]
        forms += ["coalesce({x}, {y})", "round({x})"]
    form = draw(st.sampled_from(forms))
    number = draw(st.sampled_from(["0", "1", "2.5", "1e3", "100000000000000001", "1e308", "0.001"]))
    x, y = (draw(numbers(depth - 1)) if each in form else "" for each in ("{x}", "{y}"))
    return form.format(p=draw(properties), n=number, t=draw(texts(0)), x=x, y=y)


@st.composite
def texts(draw: st.DrawFn, depth: int = 2) -> str:
    """A text, of properties and literals."""
    forms = ["{p}", "{p}", "{v}"]
    if depth:
        forms += ["lower({x})", "upper({x})", "trim({x})", "({x} || {v})", "concat({x}, {p})", "coalesce({x}, {v})"]
    form = draw(st.sampled_from(forms))
    inner = draw(texts(depth - 1)) if "{x}" in form else ""
    return form.format(p=draw(properties), v=literal(draw(TEXTS)), x=inner)


@st.composite
def times(draw: st.DrawFn) -> str:
    """A time, with or without a span."""
    moment = draw(
        st.sampled_from(["now()", "current_date", "date '2024-02-29'", "timestamp '2026-03-31 12:30:15.123456'"])
    )
    span = draw(
        st.sampled_from(["", "", " - interval 1 month", " + interval '2 years 3 days'", " + interval 90 minutes"])
    )
    return moment + span


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> str:
    """A condition on anything."""
    kinds = [
        "number",
        "text",
        "time",
        "like",
        "find",
        "in",
        "null",
        "bare",
        "two",
        "span",
        "between",
        *["both"] * depth,
    ]
    prop, op, negate = draw(properties), draw(st.sampled_from(COMPARED)), draw(st.sampled_from(["", "not "]))
    match draw(st.sampled_from(kinds)):
        case "number":
            return (
                f"{draw(numbers())} {op} {draw(st.sampled_from(['1', '-2.5', '100000000000000001', '1e300', '0.5']))}"
            )
        case "text":
            return f"{draw(texts())} {op} {literal(draw(TEXTS))}"
        case "time":
            return f"{prop} {op} {draw(times())}"
        case "span":
            return f"now() - {prop} {op} interval {draw(st.integers(-9, 900))} days"
        case "like":
            return f"{draw(texts(1))} {negate}{draw(st.sampled_from(['like', 'ilike']))} {literal(draw(TEXTS))}"
        case "find":
            name = draw(st.sampled_from(["contains", "starts_with", "ends_with"]))
            return f"{negate}{name}({draw(texts(1))}, {draw(texts(0))})"
        case "in":
            items = draw(st.lists(TEXTS.map(literal) | st.integers(-3, 3).map(str), min_size=1, max_size=4))
            return f"{prop} {negate}in ({', '.join(items)})"
        case "between":
            return f"{prop} {negate}between {draw(numbers(0))} and {draw(st.integers(0, 3))}"
        case "null":
            return f"{draw(numbers(1) | texts(1))} is {negate}null"
        case "bare":
            return f"{negate}{prop}"
        case "two":
            return f"{prop} {op} {draw(properties)}"
    return (
        f"{negate}({draw(conditions(depth - 1))} {draw(st.sampled_from(['and', 'or']))} {draw(conditions(depth - 1))})"
    )


@CHECKED
@given(segment=conditions(), rows=ROWS, ascii=st.booleans())
def test_duckdb_and_the_plain_reading_agree(
    duck: duckdb.DuckDBPyConnection, segment: str, rows: list[dict[str, Any]], ascii: bool
) -> None:
    assert ask(duck, segment, rows, ascii) == [matches(segment, row, NOW) for row in rows]


# The same words, read by DuckDB itself over columns that have types: this holds our reader's precedence against SQL's.
TYPED = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(-3, 3) | st.sampled_from([0.5, 2.5]),
        "m": st.none() | st.integers(-3, 3),
        "s": st.none() | st.text("aA%_b ", max_size=2),
        "r": st.none() | st.text("aA%_b ", max_size=2),
        "t": st.none() | st.sampled_from(["2026-03-31 12:30:15.123456", "2026-03-01 00:00:00", "2024-02-29 10:00:00"]),
        "v": st.none() | st.booleans(),
        "w": st.none() | st.booleans(),
    }
)
COLUMNS = {
    "n": "DOUBLE",
    "m": "DOUBLE",
    "s": "VARCHAR",
    "r": "VARCHAR",
    "t": "TIMESTAMP",
    "v": "BOOLEAN",
    "w": "BOOLEAN",
}


@st.composite
def sums(draw: st.DrawFn) -> str:
    """Numbers with operators between them, and no brackets that would hide which goes first."""
    first = draw(st.sampled_from(["n", "-n", "1", "abs(m)", "round(n)", "round(n / 3, 1)", "length(s)"]))
    rest = draw(st.lists(st.sampled_from([" + m", " - n", " * 2", " / 4", " - 1", " * m", " - (m - 1)"]), max_size=3))
    return first + "".join(rest)


@st.composite
def words(draw: st.DrawFn) -> str:
    """Texts put together."""
    first = draw(
        st.sampled_from(["s", "r", "lower(s)", "upper(r)", "trim(s)", "coalesce(s, r)", "concat(s, r)", "'a'"])
    )
    return first + draw(st.sampled_from(["", "", " || r", " || 'a' || s"]))


@st.composite
def typed_conditions(draw: st.DrawFn) -> str:
    """Conditions in a row, without brackets."""
    op, negate = draw(st.sampled_from(COMPARED)), draw(st.sampled_from(["", "not "]))
    one = st.one_of(
        st.tuples(sums(), st.sampled_from(COMPARED), st.integers(-3, 3)).map(
            lambda each: f"{each[0]} {each[1]} {each[2]}"
        ),
        st.tuples(sums(), st.integers(-3, 0)).map(
            lambda each: f"{each[0]} {negate}between {each[1]} and {each[1]} + 3"
        ),
        sums().map(lambda each: f"{each} {negate}in (1, 2, -1.5)"),
        words().map(lambda each: f"{each} {op} 'aA'"),
        words().map(lambda each: f"{each} {negate}in ('a', 'b', '')"),
        st.tuples(words(), st.sampled_from(["like", "ilike"]), st.sampled_from(["a%", "%a", "_", "%A_%", "!%%"])).map(
            lambda each: f"{each[0]} {negate}{each[1]} '{each[2]}' escape '!'"
        ),
        st.tuples(words(), st.sampled_from(["like", "ilike"]), st.sampled_from(["a%", "%a", "_", "%A_%", "\\"])).map(
            lambda each: f"{each[0]} {negate}{each[1]} '{each[2]}'"
        ),
        times().map(lambda each: f"t {op} {each}"),
        times().map(lambda each: f"t - interval 1 month {op} {each}"),
        st.just(f"now() - t {op} interval 30 days"),
        st.sampled_from(["v", "not w", "v = true", "v <> (w = true)", "v is true", "w is not false", "not v is null"]),
        st.sampled_from(
            ["n + m is null", "s is not null", "coalesce(n, 1) = 1", "contains(s, r)", "true", "not false"]
        ),
    )
    parts = [draw(one) for _ in range(draw(st.integers(1, 4)))]
    joined = parts[0]
    for part in parts[1:]:
        joined += draw(st.sampled_from([" and ", " or ", " and not ", " or not "])) + part
    return draw(st.sampled_from(["", "not "])) + joined


@CHECKED
@given(segment=typed_conditions(), rows=st.lists(TYPED, min_size=6, max_size=12))
def test_a_segment_means_what_duckdb_means_by_it_over_typed_columns(
    duck: duckdb.DuckDBPyConnection, segment: str, rows: list[dict[str, Any]]
) -> None:
    native = segment.replace("now()", f"timestamp '{NOW:%Y-%m-%d %H:%M:%S.%f}'").replace(
        "current_date", "date '2026-03-31'"
    )
    source = ", ".join(f"json_extract_string(row, '/{name}')::{kind} AS {name}" for name, kind in COLUMNS.items())
    query = f"SELECT ({native}) IS TRUE FROM (SELECT {source} FROM (SELECT unnest(?::VARCHAR[]) AS row))"
    theirs = duck.execute(query, [[json.dumps(row) for row in rows]]).fetchall()
    assert ask(duck, segment, rows, ascii=True) == [answer for (answer,) in theirs]
