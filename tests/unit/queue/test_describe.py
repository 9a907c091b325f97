"""What a customer is told of an error: one clear line, and nothing of the machine."""

import logging
from pathlib import Path

import duckdb
import psycopg
import pyarrow.parquet as pq
import pytest
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job

from caravan.errors import Unavailable
from caravan.queue.retries import RetryPolicy
from caravan.queue.transient import describe


def _raised(work) -> Exception:  # type: ignore[no-untyped-def]
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError("it did not fail")


@pytest.fixture
def gone(tmp_path: Path) -> Path:
    return tmp_path / "no such folder" / "c.parquet"


def test_a_path_of_the_server_is_never_told(gone: Path) -> None:
    works = [
        lambda: gone.open("wb"),
        lambda: gone.rename(gone.with_name("other")),
        lambda: duckdb.connect().sql(f"select * from '{gone}'"),
        lambda: duckdb.connect().sql(f"copy (select 1) to '{gone}'"),
        lambda: pq.read_table(gone),
        lambda: psycopg.connect(f"host='{gone.parent}'"),
    ]
    for work in works:
        error = _raised(work)
        assert str(gone.parent) in str(error)
        told = describe(error)
        assert "/" not in told, told
        assert "folder" not in told, told
        assert len(told) > 20, told


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(5, "Input/output error", "/data/x"), "The system says: Input/output error."),
        (psycopg.OperationalError("connection to server at 10.0.0.3 failed"), "PostgreSQL does not answer."),
        (Unavailable("The store is away."), "The store is away."),
        (ValueError("this can't be"), "ValueError: this can't be"),
        (ValueError("in /data/scratch/7f and '/a b/c'."), "ValueError: in … and '…'."),
        (ValueError("twice\n  (/tmp/x)"), "ValueError: twice (…)"),
        (ValueError("GET https://example.com/a/b and 1/2"), "ValueError: GET https://example.com/a/b and 1/2"),
        (FileNotFoundError("batches/b_1/c"), "A file that is needed is missing."),
        (KeyError(), "KeyError"),
    ],
)
def test_what_is_left_is_clear(error: Exception, told: str) -> None:
    assert describe(error) == told


def test_the_queues_word_for_a_database_that_is_away_is_the_same() -> None:
    error = ConnectorException()
    error.__cause__ = psycopg.OperationalError("the server closed the connection")
    assert describe(error) == "PostgreSQL does not answer."


def test_the_log_keeps_everything(gone: Path, caplog: pytest.LogCaptureFixture) -> None:
    job = Job(queue="intake", lock=None, queueing_lock=None, task_name="read", task_kwargs={"batch": "b_1"})
    with caplog.at_level(logging.WARNING):
        assert RetryPolicy().get_retry_decision(exception=_raised(lambda: gone.open("wb")), job=job) is not None
    assert str(gone) in caplog.text
    assert "b_1" in caplog.text
