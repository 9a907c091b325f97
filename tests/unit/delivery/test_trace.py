"""Traces of sends under way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from caravan.delivery import trace
from caravan.delivery.trace import Mark, Trace, drop_trace, read_trace
from tests.disk import SmallDisk


def test_what_was_marked_is_read_back_also_without_a_close(tmp_path: Path) -> None:
    open_trace = Trace(tmp_path, "us", 20, 4)
    open_trace.mark(1, Mark.UNDER_WAY)
    open_trace.mark(2, Mark.SENT)
    expected = [Mark.UNTOUCHED, Mark.UNDER_WAY, Mark.SENT, Mark.UNTOUCHED]
    assert read_trace(tmp_path, "us", 20, 4) == expected
    open_trace.close()
    assert read_trace(tmp_path, "us", 20, 4) == expected


def test_a_trace_of_another_window_size_or_holder_is_not_trusted(tmp_path: Path) -> None:
    Trace(tmp_path, "us", 20, 4).close()
    assert read_trace(tmp_path, "us", 20, 5) is None
    assert read_trace(tmp_path, "others", 20, 4) is None
    drop_trace(tmp_path, "us", 20)
    assert read_trace(tmp_path, "us", 20, 4) is None


def test_a_trace_of_another_boot_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut, what was marked last may be missing: then the whole window is unknown."""
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    monkeypatch.setattr(trace, "_BOOT_ID", boot)
    Trace(tmp_path, "us", 20, 4).close()
    assert read_trace(tmp_path, "us", 20, 4) == [Mark.UNTOUCHED] * 4
    boot.write_text("second\n")
    assert read_trace(tmp_path, "us", 20, 4) is None


def test_without_a_boot_id_no_trace_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_BOOT_ID", tmp_path / "none")
    Trace(tmp_path, "us", 20, 4).close()
    assert read_trace(tmp_path, "us", 20, 4) is None


def test_of_one_that_a_full_disk_does_not_take_nothing_is_left(disk: Callable[[int], SmallDisk]) -> None:
    full = disk(1)
    (full.seen / "traces").mkdir()
    full.fill()
    with pytest.raises(OSError, match="No space left on device"):
        Trace(full.seen / "traces", "us", 20, 4)
    assert not list((full.seen / "traces").iterdir())
