"""Segments: what is allowed, what it means, and that DuckDB and a plain reading agree on it."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import duckdb
import pytest

from caravan.errors import InvalidInput
from caravan.journeys.durations import Duration
from caravan.journeys.segment_tree import Counted
from caravan.journeys.segments import MAX_LENGTH, compile_segment, first_true
from tests.unit.journeys.segments_plain import matches

NOW = datetime(2026, 3, 31, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that can reach nothing, in a time zone that would show."""
    with duckdb.connect(config={"enable_external_access": "false", "threads": 1}) as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        yield connection


def ask(
    duck: duckdb.DuckDBPyConnection, segment: str, rows: Sequence[dict[str, Any]], ascii: bool = False
) -> list[bool]:
    """What DuckDB says of each row."""
    texts = [json.dumps(row, ensure_ascii=ascii) for row in rows]
    query = first_true([compile_segment(segment)], NOW)
    query = f"WITH contacts AS (SELECT unnest(?::VARCHAR[]) AS properties) {query}"
    return [arm == 0 for (arm,) in duck.execute(query, [texts]).fetchall()]


def says(duck: duckdb.DuckDBPyConnection, segment: str, **properties: Any) -> bool:
    """What DuckDB says of one contact; the plain reading must say the same."""
    [answer] = ask(duck, segment, [properties])
    assert answer is matches(segment, properties, NOW)
    return answer


@pytest.mark.parametrize(
    ("segment", "properties"),
    [
        ("city in ('Oslo', 'Bergen') and ltv >= 100", {"city": "Oslo", "ltv": 100}),
        ("signup < now() - interval 30 days", {"signup": "2026-03-01T12:30:15Z"}),
        ("signup = current_date", {"signup": "2026-03-31"}),
        ("signup = date '2026-03-31'", {"signup": "2026-03-31T02:00:00+02:00"}),
        ("signup = timestamp '2026-03-31 01:02:03'", {"signup": "2026-03-31 01:02:03"}),
        ("renewal - interval '1 month' = date '2026-02-28'", {"renewal": "2026-03-31"}),
        ("now() - signup > interval 1 week", {"signup": "2026-03-24T12:30:15.123455Z"}),
        ("vip", {"vip": True}),
        ("vip and not gone", {"vip": "yes", "gone": "FALSE"}),
        ("vip = true", {"vip": 1}),
        ("vip is not true", {"vip": "perhaps"}),
        ("missing is null and nothing is null", {"nothing": None}),
        ("ltv is not null", {"ltv": ""}),
        ("ltv > 99.5", {"ltv": "100"}),
        ("ltv = '100'", {"ltv": 100}),
        ("zip = '007'", {"zip": "007"}),
        ("zip = 7", {"zip": "007"}),
        ("vip = 'true'", {"vip": True}),
        ("a = b", {"a": 1, "b": "1"}),
        ("a + b * 2 = 7 and (a + b) * 2 = 8", {"a": 1, "b": 3}),
        ("a / 4 = 0.5", {"a": 2}),
        ("-a < -1", {"a": 2}),
        ("ltv not between 1 and 9", {"ltv": 10}),
        ("name like 'B%e' and name not like 'b%' and name ilike 'b_uce'", {"name": "Bruce"}),
        ("name like '100!%%' escape '!'", {"name": "100% ok"}),
        ("lower(name) = 'bruce' and upper(name) = 'BRUCE'", {"name": "Bruce"}),
        ("length(trim(name)) = 5", {"name": "  Bruce "}),
        ("contains(mail, '@') and starts_with(mail, 'a') and ends_with(mail, '.se')", {"mail": "a@b.se"}),
        ("coalesce(nick, name) = 'Bruce'", {"name": "Bruce"}),
        ("coalesce(ltv, 0) = 0", {"ltv": "unreadable"}),
        ("abs(a) = 1 and round(b) = 3 and round(c, 1) = 2.3", {"a": -1, "b": 2.5, "c": 2.25}),
        ("first || ' ' || last = 'Bo Ek' and concat(first, nix) = 'Bo'", {"first": "Bo", "last": "Ek"}),
        ("address.city = 'Oslo'", {"address": {"city": "Oslo"}}),
        ("\"first name\".\"x.y\" = 'it''s'", {"first name": {"x.y": "it's"}}),
        ('"a/b~c" = 1 and "*" = 2 and "q""q" = 3', {"a/b~c": 1, "*": 2, 'q"q': 3}),
        ("tags.\"0\" = 'new' and contains(tags, 'new')", {"tags": ["new", "old"]}),
        ("ltv in (1, '2', 3.0)", {"ltv": 3}),
        ("1 = 1", {}),
        ("a = 1 /* why */ -- because", {"a": 1}),
    ],
)
def test_a_condition_is_true_of_a_contact(
    duck: duckdb.DuckDBPyConnection, segment: str, properties: dict[str, Any]
) -> None:
    assert says(duck, segment, **properties)
    assert not says(duck, f"not ({segment}\n)", **properties)


@pytest.mark.parametrize(
    "segment",
    [
        "ltv = 1",
        "ltv <> 1",
        "not ltv = 1",
        "ltv in (1, 2)",
        "ltv not in (1, 2)",
        "ltv between 0 and 9",
        "ltv not like 'x'",
        "ltv",
        "not ltv",
        "ltv > now()",
        "ltv || 'x' <> ''",
        "ltv / 0 = 1 or ltv * 2 > 1",
    ],
)
def test_null_does_not_match_whatever_is_asked(duck: duckdb.DuckDBPyConnection, segment: str) -> None:
    assert ask(duck, segment, [{}, {"ltv": None}]) == [False, False]


@pytest.mark.parametrize(
    "value",
    ["abc", "", "1_000", "0x10", "inf", "nan", "1e999", True, [1], {"a": 1}, "1 2", "１", None, "9" * 400],
)
def test_what_is_no_number_is_null_when_it_is_compared_with_one(duck: duckdb.DuckDBPyConnection, value: Any) -> None:
    assert says(duck, "not (ltv > 0 or ltv <= 0)", ltv=value) is False
    assert says(duck, "ltv + 0 is null", ltv=value)


@pytest.mark.parametrize(
    "value",
    [
        "2026-02-30", "2026-1-1", "yesterday", "infinity", "epoch", "0000-01-01", "2026-01-01T24:00", 20260101,
        "2026-01-01T10:00:60", "2026-01-01 10:00 Europe/Oslo", "2026-01-01T10:00+15:00", True, "10:00", "now",
    ],
)  # fmt: skip
def test_what_is_no_time_is_null_when_it_is_compared_with_one(duck: duckdb.DuckDBPyConnection, value: Any) -> None:
    assert says(duck, "not (at > now() or at <= now())", at=value) is False


@pytest.mark.parametrize(
    ("segment", "a"),
    [
        ("a > 0", "1e999"),
        ("a * 1e308 > 0", 1000),
        ("a * 1e308 * 0.0 is not null", 1000),
        ("a / 0 > 0", 1),
        ("1 / (1 / a) = 0", 0),
        ("round(a * 1e308, 2) > 0", 1000),
        ("coalesce(a * 1e308, 1) > 1", 1000),
    ],
)
def test_what_is_too_large_or_divided_by_zero_is_null(duck: duckdb.DuckDBPyConnection, segment: str, a: Any) -> None:
    assert says(duck, segment, a=a) is False


def test_long_ids_that_are_the_same_double_are_not_the_same_number(duck: duckdb.DuckDBPyConnection) -> None:
    assert not says(duck, "no = 12345678901234568", no=12345678901234567)
    assert says(duck, "no = 12345678901234567", no=12345678901234567)
    assert says(duck, "no < 12345678901234568", no="12345678901234567")
    assert says(duck, "12345678901234567 in (no)", no=12345678901234567)
    assert says(duck, "-12345678901234568 < no", no=-12345678901234567)
    assert says(duck, "no = 100000000000000000", no=1e17)


def test_the_time_zone_of_now_does_not_matter() -> None:
    segment = compile_segment("at > now() and day = current_date")
    elsewhere = NOW.astimezone(timezone(timedelta(hours=13)))
    assert first_true([segment], NOW) == first_true([segment], elsewhere)


def arms(duck: duckdb.DuckDBPyConnection, segments: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[int]:
    """The number of the segment that DuckDB says is the first that is true of each row."""
    compiled = [compile_segment(each) for each in segments]
    query = f"WITH contacts AS (SELECT unnest(?::VARCHAR[]) AS properties) {first_true(compiled, NOW)}"
    return [arm for (arm,) in duck.execute(query, [[json.dumps(row) for row in rows]]).fetchall()]


def test_the_first_segment_that_is_true_decides(duck: duckdb.DuckDBPyConnection) -> None:
    rows = [{"a": 1}, {"a": 2}, {"b": 2, "a": 3}, {}]
    assert arms(duck, ["a = 2", "a > 1 and b = 2", "a = 1 or b = 2"], rows) == [2, 0, 1, 3]


def test_segments_without_a_property_are_true_of_all_or_of_nobody(duck: duckdb.DuckDBPyConnection) -> None:
    assert arms(duck, ["1 = 2", "now() > date '2026-01-01'"], [{}, {"a": 1}]) == [1, 1]


def test_properties_of_many_segments_do_not_get_mixed_up(duck: duckdb.DuckDBPyConnection) -> None:
    names = [f"p{number}" for number in range(300)] + ["a/b", "a~b", "a~1b", "o'k"]
    segments = [f""" "{name}" = 'x' """ for name in names]
    rows = [dict.fromkeys(names, "y") | {name: "x"} for name in names]
    assert arms(duck, segments, rows) == list(range(len(names)))


@pytest.mark.parametrize("pattern", ["", "%", "_", "a%", "%a", "a_b", "%a%b%", "a.c", "[a]", "a\\b", "%%", "a\nb"])
@pytest.mark.parametrize("operator", ["like", "ilike", "not like"])
def test_like_means_what_duckdb_means_by_it(duck: duckdb.DuckDBPyConnection, operator: str, pattern: str) -> None:
    texts = ["", "a", "A", "ab", "aXb", "a.c", "abc", "[a]", "a\\b", "aab\nb", "a\nb", "å", "%"]
    theirs = duck.execute(f"SELECT x {operator} '{pattern}' FROM (SELECT unnest(?) AS x)", [texts]).fetchall()
    assert ask(duck, f"x {operator} '{pattern}'", [{"x": text} for text in texts]) == [x for (x,) in theirs]


def test_a_pattern_made_to_be_slow_is_not(duck: duckdb.DuckDBPyConnection) -> None:
    segment = "x like '" + "%a_" * 40 + "b'"
    assert ask(duck, segment, [{"x": "a" * 20_000}] * 10) == [False] * 10


def test_names_are_the_properties_that_are_used() -> None:
    segment = compile_segment("a = 1 and \"b c\".d in ('x') and length(coalesce(e, a)) > 1")
    assert segment.paths == {("a",), ("b c", "d"), ("e",)}
    assert segment.text.startswith("a = 1")


REFUSED = {
    "select 1": "can't be read",
    "exists(select 1)": "no function exists",
    "a in (select b from c)": "can't be used",
    "(select 1) = 1": "not allowed",
    "a = 1; drop table x": "can't be read",
    "read_csv('/etc/passwd') = 1": "no function read_csv",
    "getenv('HOME') = 'x'": "no function getenv",
    "regexp_matches(a, 'x')": "no function",
    "cast(a as int) = 1": "cast",
    "a::int = 1": "cast",
    "try_cast(a as int) = 1": "",
    "case when a then b end": "not allowed",
    "if(a, b, c)": "not allowed",
    "a[1] = 1": "not allowed",
    "a -> 'b' = 1": "no function",
    "a ->> '$.b' = 1": "",
    "a.b() = 1": "no name",
    "a.* = 1": "",
    "* = 1": "",
    "count(*) > 1": "count takes an event",
    "row_number() over () = 1": "",
    "list_transform(a, x -> x) = 1": "",
    "a = ?": "not allowed",
    "a = $1": "not allowed",
    "a = :x": "not allowed",
    "a = any(b)": "",
    "a ~ 'x'": "",
    "a % 2 = 1": "not allowed",
    "a between symmetric 1 and 2": "can't be used",
    "a collate nocase = 'x'": "not allowed",
    "a at time zone 'utc' > now()": "not allowed",
    "current_user = 'x'": "",
    "trim(both 'x' from a) = 'b'": "can't be used",
    "a like b": "pattern",
    "a like 'x!' escape '!'": "escape character",
    "a in ()": "needs a list",
    "(a, b) = (1, 2)": "not allowed",
    "pragma version": "can't be read",
    "1 < a < 5": "chained",
    "a = b = c": "chained",
    "a = null": "is null",
    "now() > 5": "a time can't be compared with a number",
    "signup < now() - 30": "interval",
    "a < interval 1 day": "can't be compared",
    "a + interval b days > now()": "interval",
    "now() > date '2026-02-30'": "2026-02-30",
    "now() + interval 5 parsecs > now()": "no interval",
    "now() + interval 5000 years > now()": "longer than",
    "length(a)": "no condition",
    "'x'": "no condition",
    "coalesce(a, 1, 'x') = 1": "mixes",
    "lower(1 + 1) = 'x'": "can't be used as a text",
    "round(a, b) = 1": "0 to 10",
    "a = 1e400": "too large",
    "": "empty",
    "   ": "empty",
    "a = 'x": "",
    "a = 1 b": "near “b”",
    "a = '\x00'": "control character",
    "a and": "can't be read",
    "a = '" + "x" * MAX_LENGTH + "'": "longer than",
    "(" * 500 + "a": "brackets",
    "not " * 900 + "a": "too deeply",
    "- " * 1_900 + "a = 1": "",
    " + ".join(["a"] * 900) + " = 1": "too deeply",
    "length(" + "||".join(["a"] * 50) + ") > 1": "texts together",
}


@pytest.mark.parametrize("segment", REFUSED, ids=lambda segment: segment[:40])
def test_everything_else_is_refused_with_a_sentence(segment: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        compile_segment(segment)
    assert REFUSED[segment] in refused.value.message


def test_a_mistake_is_told_with_its_place() -> None:
    with pytest.raises(InvalidInput, match=r"line 2, column 6"):
        compile_segment("a = 1\n and nope(b)")


def test_a_long_row_of_alternatives_is_fine(duck: duckdb.DuckDBPyConnection) -> None:
    assert says(duck, " or ".join(f"a={n}" for n in range(300)), a=299)
    assert says(duck, f"a in ({', '.join(repr(str(n)) for n in range(500))})", a="499")


@pytest.mark.parametrize("op", ["=", "<>", "<", "<=", ">", ">="])
@pytest.mark.parametrize("value", [10**17 - 1, 10**17, 10**17 + 1, "100000000000000001", 1, None])
def test_large_numbers_compare_exactly_from_both_sides(duck: duckdb.DuckDBPyConnection, op: str, value: Any) -> None:
    meant = {"=": "__eq__", "<>": "__ne__", "<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__"}[op]
    number = None if value is None else int(value)
    assert says(duck, f"no {op} 100000000000000001", no=value) is (
        number is not None and getattr(number, meant)(10**17 + 1)
    )
    assert says(duck, f"100000000000000001 {op} no", no=value) is (
        number is not None and getattr(10**17 + 1, meant)(number)
    )


def test_id_and_contact_mean_what_they_mean_in_a_template(duck: duckdb.DuckDBPyConnection) -> None:
    query = first_true([compile_segment('id = \'7\' and contact.id = 7 and "contact"."first name" = contact.id')], NOW)
    source = "SELECT '7' AS id, ? AS properties"
    rows = [{"first name": "7", "id": "8"}, {"first name": "8", "id": "7"}, {"contact": {"first name": "7"}}]
    told = [
        duck.execute(f"WITH contacts AS ({source}) {query}", [json.dumps(row)]).fetchall() == [(0,)] for row in rows
    ]
    assert told == [True, False, False]
    assert says(duck, "contact.contact.x = 1 and contact.order.id = 2", contact={"x": 1}, order={"id": 2})
    for refused in ("contact = 'x'", "id.x = 1", "contact.id.x = 1"):
        with pytest.raises(InvalidInput, match=r"name one of its properties|nothing below it"):
            compile_segment(refused)


@pytest.mark.parametrize("segment", ["no = {}", "{} in (no)", "no between {0} and {0}", "coalesce(no, 0) = {}"])
def test_whole_numbers_are_told_apart_from_the_first_that_share_a_double(
    duck: duckdb.DuckDBPyConnection, segment: str
) -> None:
    for number in (2**53 - 1, 2**53, 2**53 + 1, -(2**53), 10**37):
        for other in (number - 1, number, number + 1):
            assert says(duck, segment.format(number), no=other) is (other == number)
            assert says(duck, segment.format(number), no=f"{other}.0") is (other == number)


def test_two_numbers_that_are_written_are_compared_exactly(duck: duckdb.DuckDBPyConnection) -> None:
    assert not says(duck, "9007199254740992 = 9007199254740993 or 9007199254740993.0 <= 9007199254740992")
    assert says(duck, "9007199254740992.5 > 9007199254740992 and 1e2 = 100 and 0.5 = 5e-1")


def test_a_number_out_of_bounds_is_told_in_a_sentence() -> None:
    for number in ("1e999999999", "-1e999999999", "9" * 400, "1" + "0" * 3_000 + ".5"):
        with pytest.raises(
            InvalidInput, match=r"^the number .* is too large; a number is at most 1.7e308 \(line 1, column"
        ):
            compile_segment(f"a = {number}" if number[0] != "-" else f"{number} < a")


def test_a_property_out_of_bounds_is_null(duck: duckdb.DuckDBPyConnection) -> None:
    query = first_true([compile_segment("a > 0 or a <= 0 or a + 1 > 0 or a = 9007199254740993")], NOW)
    for number in ("1e999999999", "-1e400", "9" * 400):
        source = f"WITH contacts AS (SELECT '{{\"a\": {number}}}' AS properties)"
        assert duck.execute(f"{source} {query}").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("segment", "counts"),
    [
        ("count('opened') > 2", [Counted("opened")]),
        ("count('opened', 30 days) > 2 and x = 1", [Counted("opened", Duration(days=30))]),
        ("COUNT ( 'a.b-c', 1 month ) = 0", [Counted("a.b-c", Duration(months=1))]),
        ("count('opened', interval '2 weeks') < count('sent', 90 minutes)", ["opened", "sent"]),
        ("count('a', 1 day) > 1 or count('a', 1 day) = 0", [Counted("a", Duration(days=1))]),
        ("x = 'count(''a'', 3 days)'", []),
        ('"count" > 3', []),
    ],
)
def test_events_are_counted_by_name_and_period(segment: str, counts: list[Any]) -> None:
    found = compile_segment(segment, counts=True).counts
    assert len(found) == len(counts)
    assert all(each in found or each in [known.event for known in found] for each in counts)


@pytest.mark.parametrize(
    "segment",
    [
        "count('opened')",
        "count(*) > 1",
        "count(distinct x) > 1",
        "count(opened) > 1",
        "count('no name') > 1",
        "count('opened', 0 days) > 1",
        "count('opened', -3 days) > 1",
        "count('opened', x) > 1",
        "count('opened', 3) > 1",
        "count('opened', 11 years) > 1",
        "count('opened', 1 day, 2 days) > 1",
        " or ".join(f"count('e{number}') > 1" for number in range(9)),
    ],
)
def test_other_counts_are_refused(segment: str) -> None:
    with pytest.raises(InvalidInput):
        compile_segment(segment, counts=True)


def test_only_who_says_so_counts_events() -> None:
    with pytest.raises(InvalidInput, match=r"only splits and the weights of an ab count events, as count\('opened'"):
        compile_segment("x > 1 or count('opened', 3 days) > 1")


def test_counts_are_read_from_columns_beside_the_properties(duck: duckdb.DuckDBPyConnection) -> None:
    segment = compile_segment("count('opened', 30 days) > least and count('bought') = 0", counts=True)
    rows = """('{"least": 1}', 2, 0), ('{"least": 2}', 2, 0), ('{"least": 1}', 2, 1)"""
    source = f'WITH contacts AS (FROM (VALUES {rows}) AS c (properties, "count opened 30 days", "count bought"))'
    found = duck.execute(f"{source} {first_true([segment], NOW)}").fetchall()
    assert [arm == 0 for (arm,) in found] == [True, False, False]
