"""The queue while the database is away."""

import logging

import pytest
from procrastinate import App, PsycopgConnector
from psycopg_pool import AsyncConnectionPool

from caravan.queue.job_manager import ResilientJobManager


async def test_while_the_database_is_away_a_look_for_jobs_finds_none_and_logs_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App(connector=PsycopgConnector())
    app.job_manager = ResilientJobManager(app.connector)
    nowhere = "postgresql:///none?host=/nonexistent"
    async with (
        AsyncConnectionPool(nowhere, open=False, min_size=0, max_size=1, timeout=0.1) as pool,
        app.open_async(pool),
    ):
        assert await app.job_manager.list_jobs_to_abort_async() == []
        assert await app.job_manager.fetch_job(["advance"], worker_id=1) is None
    said = [each for each in caplog.records if each.name == "caravan.queue.job_manager"]
    assert [each.getMessage().partition(" just now")[0] for each in said] == [
        "Can't look for jobs to abort",
        "Can't look for jobs",
    ]
    assert all(each.levelno == logging.WARNING and not each.exc_info for each in said)
