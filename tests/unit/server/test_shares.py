"""What each worker process of a machine gets of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.engine.worker import CONCURRENCY, open_duckdb
from caravan.server.shares import processes_of, queues_of_process, share, usable_cores, worker_count
from caravan.settings import MIB, Settings, memory_bytes


@pytest.mark.parametrize(
    ("quota", "most"), [("max 100000\n", None), ("150000 100000\n", 2), ("1000 100000\n", 1), ("nonsense", None)]
)
def test_a_containers_quota_bounds_the_cores(tmp_path: Path, quota: str, most: int | None) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    without = usable_cores(tmp_path / "none")
    assert usable_cores(tmp_path / "cpu.max") == (without if most is None else min(most, without))


def test_there_are_as_many_workers_as_told_else_one_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_count(Settings(workers=40)) == 40
    for cores, workers in ((1, 1), (2, 2), (16, 16), (96, 16)):
        monkeypatch.setattr("caravan.server.shares.usable_cores", lambda cores=cores: cores)
        assert worker_count(Settings()) == workers


@given(st.integers(1, 64), st.integers(1, 100), st.integers(1, 200), st.integers(1, 64))
def test_all_workers_together_take_little_more_than_one_may(
    workers: int, connections: int, smtp: int, memory: int
) -> None:
    whole = Settings(database_connections=connections, smtp_connections=smtp, duckdb_memory=f"{memory * 64}MiB")
    each = share(whole, workers)
    assert 1 <= each.database_connections <= connections
    assert each.database_connections * workers <= max(2 * connections, 3 * workers)
    assert each.smtp_connections * workers <= max(smtp, workers)
    assert memory_bytes(each.duckdb_memory) * workers <= max(memory * 64, 256 * workers) * MIB
    assert memory_bytes(each.duckdb_memory) <= memory_bytes(whole.duckdb_memory)


def test_the_embedded_server_has_connections_enough_for_the_default_on_any_machine() -> None:
    """It allows 200; the API takes 20 of them, and commands and backups need some."""
    for workers in range(1, 17):
        pool = share(Settings(), workers).database_connections
        listening = sum(len(queues_of_process(CONCURRENCY, number)) for number in range(1, workers + 1))
        assert workers * pool + listening + 20 <= 190


@given(st.sets(st.sampled_from(list(CONCURRENCY)), min_size=1), st.integers(1, 20))
def test_every_queue_is_served_and_the_chores_and_readings_by_few(names: set[str], workers: int) -> None:
    queues = {name: CONCURRENCY[name] for name in names}
    parts = [queues_of_process(queues, number) for number in range(1, workers + 1)]
    serving = {name: sum(name in part for part in parts) for name in queues}
    for name, count in serving.items():
        assert count == {"upkeep": 1, "intake": min(2, workers), "spans": min(2, workers)}.get(name, workers)
    used = processes_of(queues, workers)
    assert all(parts[:used])
    assert not any(parts[used:])


@pytest.mark.parametrize("size", ["512MB", "1 GiB", "1.5GiB", "300 mb", "700000KB"])
def test_duckdb_takes_what_it_is_given(size: str) -> None:
    with open_duckdb(share(Settings(duckdb_memory=size), 3)) as duck:
        assert duck.execute("select 1").fetchone() == (1,)
