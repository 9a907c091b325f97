"""Old and new versions work on one database, so a migration may only add (docs/scaling.md, on upgrades)."""

import pytest
import sqlglot
from sqlglot import expressions as exp

from caravan.store.migrate import Migration, migrations

_LATER = [each for each in migrations() if each.number > 1 and not each.name.endswith("_contract")]


def hurts(statement: exp.Expression | None, made: frozenset[str] = frozenset()) -> str | None:
    """Why a statement could break a version that does not know of it; None if it can't. `made`: the tables that the
    same migration makes, which an older version does not write to."""
    match statement:
        case None:
            return None
        case exp.Create(kind="TABLE" | "INDEX" | "VIEW" | "FUNCTION"):
            return "it replaces" if statement.args.get("replace") else None
        case exp.Create(kind="TRIGGER"):
            if statement.args.get("replace"):
                return "it replaces"
            return None if {each.name for each in statement.find_all(exp.Table)} <= made else "it acts on what is there"
        case exp.Command() if _creates_function(statement) or _stores(statement, made):
            return None
        case exp.Alter(kind="TABLE"):
            return next(filter(None, map(_hurts_table, statement.args["actions"])), None)
    return f"{type(statement).__name__} is nothing that only adds"


def _creates_function(command: exp.Command) -> bool:
    """sqlglot does not read the bodies of functions in plpgsql, and leaves such a statement as its words."""
    return f"{command.this}{command.expression}".lower().split()[:2] == ["create", "function"]


def _stores(command: exp.Command, made: frozenset[str]) -> bool:
    """Whether it says how a column of a table is stored that the same migration makes, which sqlglot does not read."""
    words = f"{command.this} {command.expression}".lower().split()
    return words[:2] == ["alter", "table"] and words[2] in made and words[6:8] == ["set", "storage"]


def _made(statements: list[exp.Expression | None]) -> frozenset[str]:
    tables = (each for each in statements if isinstance(each, exp.Create) and each.args["kind"] == "TABLE")
    return frozenset(each.find(exp.Table).name for each in tables)  # type: ignore[union-attr]


def _hurts_table(action: exp.Expression) -> str | None:
    if not isinstance(action, exp.ColumnDef):
        return f"{type(action).__name__} changes what is there"
    kinds = {type(each.kind) for each in action.constraints}
    if exp.NotNullColumnConstraint in kinds and exp.DefaultColumnConstraint not in kinds:
        return f"an older version can't fill {action.name}"
    return None


@pytest.mark.parametrize("migration", _LATER, ids=lambda each: each.name)
def test_a_migration_only_adds_unless_it_says_that_it_contracts(migration: Migration) -> None:
    statements = sqlglot.parse(migration.text, dialect="postgres")
    for statement in statements:
        assert hurts(statement, _made(statements)) is None, statement.sql() if statement else ""


@pytest.mark.parametrize(
    "text",
    [
        "drop table batches",
        "alter table batches drop column file",
        "alter table batches rename column file to name",
        "alter table batches add column colour text not null",
        "alter table batches alter column file set not null",
        "update batches set file = null",
        "create or replace view people as select 1",
        "create or replace function f() returns int language sql as $$ select 1 $$",
        "create or replace function f() returns trigger language plpgsql as $$ begin end $$",
        "create trigger t before update on batches for each row execute function f()",
        "create or replace trigger t before update on batches for each row execute function f()",
        "do $$ begin end $$",
        "alter table batches alter column file set storage external",
    ],
)
def test_what_could_break_an_older_version_is_seen(text: str) -> None:
    assert [hurts(each) for each in sqlglot.parse(text, dialect="postgres")] != [None]


@pytest.mark.parametrize(
    "text",
    [
        "create table colours (name text primary key)",
        "create index colours_by_name on colours (name)",
        "create view people as select 1",
        "create function f() returns int language sql as $$ select 1 $$",
        "create function f() returns trigger language plpgsql as $$ begin end $$",
        "alter table batches add column colour text",
        "alter table batches add column colour text not null default 'red'",
    ],
)
def test_what_only_adds_is_fine(text: str) -> None:
    assert [hurts(each) for each in sqlglot.parse(text, dialect="postgres")] == [None]


def test_a_trigger_on_a_table_of_the_same_migration_is_fine() -> None:
    text = "create table new (a int); create trigger t before update on new for each row execute function f()"
    statements = sqlglot.parse(text, dialect="postgres")
    assert [hurts(each, _made(statements)) for each in statements] == [None, None]
    assert [hurts(each) for each in statements] != [None, None]
