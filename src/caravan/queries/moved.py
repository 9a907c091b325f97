"""What moved in a batch over time: how many contacts left a step in each minute, by outcome, as the journal says."""

from collections import Counter
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caravan.engine.engine import Engine
from caravan.queries.tallies import Sizes, Tallies, Tally
from caravan.store.files import Files
from caravan.store.journal import Entry

Minute = tuple[datetime, str]  # and the outcome
Moved = Tally[Minute]


class Movements(Tallies[Minute]):
    """What moved in the batches that are looked at in this process."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, _count)


def _count(files: Files, entry: Entry, sizes: Sizes) -> Counter[Minute]:
    if entry.outcome is None:
        with files.local(entry.file) as path:
            return _by_minute(pq.read_table(path, columns=["outcome", "at"]))
    if entry.file not in sizes:
        with files.local(entry.file) as path:
            sizes[entry.file] = pq.read_metadata(path).num_rows
    return Counter({(entry.at.replace(second=0, microsecond=0), entry.outcome): sizes[entry.file]})


def _by_minute(table: pa.Table) -> Counter[Minute]:
    minutes = pc.floor_temporal(table["at"], unit="minute")
    found = (
        pa.table({"at": minutes, "outcome": table["outcome"]})
        .group_by(["at", "outcome"])
        .aggregate([([], "count_all")])
    )
    columns = (found["at"].to_pylist(), found["outcome"].to_pylist(), found["count_all"].to_pylist())
    return Counter({(at, outcome): count for at, outcome, count in zip(*columns, strict=True)})
