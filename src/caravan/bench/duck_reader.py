"""The yardstick of `bench intake`: a module that imports no more than DuckDB, whose memory is measured."""

from pathlib import Path

import duckdb

from caravan.bench.measure import Timed, now


def into_one_parquet(source: Path, target: Path, threads: int) -> Timed:
    """Read a file of contacts into a Parquet file, which is deleted again."""
    begin = now()
    with duckdb.connect(config={"threads": threads}) as connection:
        connection.execute(
            "copy (select id, properties from read_json($source, format = 'newline_delimited', ignore_errors = true,"
            " columns = {id: 'VARCHAR', properties: 'JSON'})) to $target (format parquet)",
            {"source": str(source), "target": str(target)},
        )
    seconds = now() - begin
    target.unlink()
    return Timed(seconds)
