"""Equal ids are found whatever their hashes, and in as many passes as memory needs."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caravan.intake.duplicates import Losers


@pytest.mark.parametrize("most", [4, 64, 1 << 20])
def test_later_contacts_lose_however_many_passes_it_takes(most: int, tmp_path: Path) -> None:
    ids = [str(number % 700) for number in range(1000)]
    hashes, part = tmp_path / "hashes", tmp_path / "part.parquet"
    ticks: list[None] = []
    with duckdb.connect() as connection:
        table = pa.table({"line": range(1, 1001), "id": ids})
        connection.register("ids", table)
        found = connection.sql("select hash(id) as hash from ids").to_arrow_table()["hash"].to_numpy()
        np.asarray(found, np.uint64).tofile(hashes)
        pq.write_table(table, part)
        losers = Losers(connection)
        assert losers.find(hashes, [part], lambda: ticks.append(None), most) == 300
        lines, firsts = losers.between(1, 1000)
    assert lines.tolist() == list(range(701, 1001))
    assert firsts.tolist() == list(range(1, 301))
    assert len(ticks) >= 1000 / most


def test_different_ids_with_the_same_hash_both_stay(tmp_path: Path) -> None:
    hashes, part = tmp_path / "hashes", tmp_path / "part.parquet"
    np.array([5, 5], np.uint64).tofile(hashes)
    pq.write_table(pa.table({"line": [1, 2], "id": ["one", "other"]}), part)
    with duckdb.connect() as connection:
        assert Losers(connection).find(hashes, [part], lambda: None) == 0
