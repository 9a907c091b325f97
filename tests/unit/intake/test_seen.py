"""What was there before is told exactly, also when the filter is full and runs lie in files."""

from pathlib import Path

import numpy as np
import pytest

from caravan.intake.seen import Hashes, Seen


def told(seen: Seen, batches: list[Hashes]) -> list[list[bool]]:
    return [seen.add(np.unique(batch)).tolist() for batch in batches]


def expected(batches: list[Hashes]) -> list[list[bool]]:
    before: set[int] = set()
    found = []
    for batch in batches:
        hashes = np.unique(batch).tolist()
        found.append([each in before for each in hashes])
        before.update(hashes)
    return found


@pytest.mark.parametrize("room", [2, 1 << 18])
@pytest.mark.parametrize("values", [5, 3000, 1 << 62])
def test_a_hash_is_known_exactly_from_the_second_time_on(values: int, room: int, tmp_path: Path) -> None:
    random = np.random.default_rng(values)
    batches = [random.integers(0, values, 40).astype(np.uint64) * np.uint64((1 << 64) // values) for _ in range(300)]
    batches.append(np.concatenate(batches[:50]))
    assert told(Seen(tmp_path, room), batches) == expected(batches)


def test_many_batches_leave_few_runs_behind(tmp_path: Path) -> None:
    seen = Seen(tmp_path)
    told(seen, [np.array([number], np.uint64) for number in range(8 * 8 + 8)])
    assert len(list(tmp_path.iterdir())) == 2


def test_no_hashes_are_no_news(tmp_path: Path) -> None:
    assert told(Seen(tmp_path), [np.empty(0, np.uint64)] * 2) == [[], []]
