"""Whatever is written as a segment, nothing but the properties can be reached, and nothing that runs fails."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb
import pytest
import sqlglot
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlglot.tokens import TokenType

from caravan.errors import InvalidInput
from caravan.journeys.segments import compile_segment, compile_with_warnings, first_true
from tests.examples import many

NOW = datetime(2026, 3, 31, 12, 30, tzinfo=UTC)
_SOUP = """
id contact contact.a contact.id
a b "c_d" properties t secret 'x' '%' '\\' 1 2.5 1e308 1e400 -1 0 null true false date timestamp interval '1_day'
'2026-01-01' day days now ( ) ( ) ( ) [ ] { } , , . : ; :: -> ->> = <> != < <= > >= == + - * / % || & | ~ ! @ # $1 ? :x
and or not in between like ilike escape is null is not null exists select from where union with as case when then else
end cast try_cast lambda over partition by order limit any all some distinct filter within group values table
read_csv read_text read_json glob getenv pragma attach copy install load set call export query_table
current_setting duckdb_settings count sum list_transform list_value struct_pack row unnest range generate_series
lower upper trim length coalesce abs round contains starts_with ends_with concat now() current_date regexp_matches
json_extract error sleep getvariable nextval random uuid version current_user session_user localtime columns *
'/etc/passwd' -- /* */ $$ e'x' x'00' b'1' \\ " ' ; select * from secret at time zone 'UTC' collate nocase array
"""
WORDS = _SOUP.split()
# All that the generated SQL may consist of, beside texts, numbers and signs.
_WRITTEN = """
abs case cast coalesce concat contains ends_with epoch_us isfinite json_extract_string length lower make_timestamp
regexp_full_match round starts_with to_microseconds to_months trim try_cast upper
when then else end and or not in is null true false as bigint boolean decimal double timestamp timestamptz varchar
select from contacts properties id p arm
"""
VOCABULARY = frozenset(_WRITTEN.split())
ROWS = [
    {},
    {"a": None, "b": [], "c_d": {}},
    {"a": 1, "b": "2026-01-01", "c_d": True},
    {"a": "x" * 1000, "b": 10**299, "c_d": "9999-12-31T23:59:59.999999-14:00"},
    {"a": -1.7e308, "b": "0001-01-01T00:00:00+14:00", "c_d": {"a": {"b": [1, [2]]}}},
    {"a": "\\", "b": "%", "c_d": "'\"\n"},
]


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that can reach nothing but a table of contacts, and one that a segment must not reach."""
    with duckdb.connect(config={"enable_external_access": "false", "threads": 1}) as connection:
        connection.execute(
            "CREATE TABLE contacts AS SELECT unnest(?::VARCHAR[]) AS properties, '1' AS id", [[*map(json.dumps, ROWS)]]
        )
        connection.execute("CREATE TABLE secret AS SELECT 1 AS a")
        yield connection


def check(duck: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Whether the text is a segment; if it is, its SQL is looked through and run."""
    try:
        segment, warnings = compile_with_warnings(text)
        sql = first_true([segment], NOW)
    except InvalidInput as error:
        assert error.message
        return False
    assert all(warnings)
    words = words_of(sql)
    assert set(words) <= VOCABULARY
    assert [words.count(each) for each in ("select", "from", "contacts", "properties")] == [2, 2, 1, 1]
    answers = duck.execute(sql).fetchall()
    assert len(answers) == len(ROWS)
    assert all(answer in (0, 1) for (answer,) in answers)
    return True


def words_of(sql: str) -> list[str]:
    """All words outside of texts; a quoted name would count as one."""
    tokens = sqlglot.tokenize(sql, dialect="duckdb")
    assert not [each for each in tokens if each.token_type in (TokenType.IDENTIFIER, TokenType.SEMICOLON)]
    data = (TokenType.STRING, TokenType.NUMBER)
    return [each.text.lower() for each in tokens if re.match(r"\w", each.text) and each.token_type not in data]


@settings(max_examples=many(500), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join))
@example("a = 1 and b in ('x') or not \"c_d\" is null")
@example("a like '%' escape '\\'")
def test_a_soup_of_sql_reaches_nothing_but_properties(duck: duckdb.DuckDBPyConnection, text: str) -> None:
    check(duck, text)


@settings(max_examples=many(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60))
@example("a = '\x00'")
@example("\ud800")
@example('"' * 3)
def test_any_text_is_a_segment_or_refused(duck: duckdb.DuckDBPyConnection, text: str) -> None:
    check(duck, text)


ATTACKS = [
    "a = 1) or (select count(*) from secret) > 0 or (1 = 1",
    "a = ''' or exists(select 1 from secret) or a = '''",
    '"a\') or (select 1 from secret" = 1',
    '"properties\') FROM secret --" = 1',
    "a = '\x00now\x00'",
    "a in (select a from secret)",
    "a = (select a from secret)",
    "a = (from secret)",
    "read_csv('/etc/passwd') is null",
    "getenv('HOME') is null",
    "current_setting('memory_limit') is null",
    "a = any(select a from secret)",
    "columns('a') = 1",
    "columns(*) = 1",
    "secret.a = 1 and main.secret.a = 1",
    "a = 1 union select 1",
    "lower(secret) = 'x' and lower(a, b) = 'x'",
    "coalesce(a, (select 1)) = 1",
    "a between (select 1) and 2",
    "a like (select 'x')",
    "date (select 1) > now()",
    "interval (select 1) day > now() - a",
    "round(a, (select 1)) = 1",
    "now(1) > a",
    "now(select 1) > a",
    "a = 1 limit 1",
    "not exists (from secret)",
    "{'a': 1}.a = 1",
    "[1][1] = 1",
    "(lambda x: x)(1) = 1",
    "a = $$x$$",
    "a = e'\\x00'",
    "try(a) = 1",
    "error('x') = 'x'",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_an_attack_is_refused_or_means_only_properties(duck: duckdb.DuckDBPyConnection, text: str) -> None:
    check(duck, text)


@pytest.mark.parametrize(
    "text", [each for each in ATTACKS if "select" in each and '"' not in each and "'''" not in each]
)
def test_no_query_is_ever_a_segment(text: str) -> None:
    with pytest.raises(InvalidInput):
        compile_segment(text)


@pytest.mark.parametrize(
    "opening", ["(", "not ", "- ", "lower(", "coalesce(a, ", "a + (", "[", "case when ", "a and ("]
)
@pytest.mark.parametrize("times", [10, 100, 600])
def test_depth_never_crashes(duck: duckdb.DuckDBPyConnection, opening: str, times: int) -> None:
    closing = ")" * times if "(" in opening else ""
    check(duck, (opening * times + "a" + closing)[:4000])


@pytest.mark.parametrize(
    "text",
    [
        " * ".join(["a"] * 60) + " > 1",
        "a / (b / (a / (b / (a / (b / (a / (b / (a / (b / (a / b)))))))))) > 1",
        "coalesce(1 + coalesce(1 + coalesce(1 + coalesce(1 + coalesce(1 + coalesce(a, 1), 1), 1), 1), 1), 1) > 1",
        "a" + " + interval 1000 years" * 90 + " > now()",
        "(a" + " + interval 1000 years" * 90 + ") - (b" + " - interval 1000 years" * 90 + ") > interval 1 day",
        "round(a * 1e308, 10) > 0 or round(a / 1e-308, 10) > 0",
    ],
)
def test_overflow_is_null_and_never_an_error(duck: duckdb.DuckDBPyConnection, text: str) -> None:
    check(duck, text)
