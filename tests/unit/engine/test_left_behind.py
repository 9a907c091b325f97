"""What killed processes leave half-written on a machine."""

import os
import time
from pathlib import Path

import pytest

from caravan.engine.recovery import clear_old


def _write(path: Path, age: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half a fi")
    for each in (path, path.parent):
        os.utime(each, (time.time() - age, time.time() - age))
    return path


@pytest.mark.parametrize("name", ["scratch/one/expanded", "scratch/part.parquet", "uploads/b_1-abc"])
def test_is_removed_when_it_is_old(folder: Path, name: str) -> None:
    left = _write(folder / name, age=3600)
    clear_old(folder, seconds=7200)
    assert left.exists()
    clear_old(folder, seconds=1800)
    assert not left.exists()
    assert not (folder / "scratch" / "one").exists()


def test_stays_while_one_file_of_its_folder_is_new(folder: Path) -> None:
    old = _write(folder / "scratch/one/download", age=3600)
    new = _write(folder / "scratch/one/expanded", age=0)
    os.utime(new.parent, (0, 0))
    clear_old(folder, seconds=1800)
    assert old.exists() and new.exists()


def test_nothing_else_of_the_data_folder_is_touched(folder: Path) -> None:
    kept = _write(folder / "files/batches/b_1/cohort.parquet", age=3600)
    clear_old(folder, seconds=1800)
    assert kept.exists()
