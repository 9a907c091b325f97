"""What `caravan bench single` says of its runs."""

import io

import pytest
from rich.console import Console

from caravan.bench.single import Side, Singles

_CPU = {"other": 0.0, "postgresql": 0.00015, "serve": 0.0002, "worker": 0.0001}


def _side(side: str, phase: str, rate: float) -> Side:
    return Side(side, phase, rate, 0.02, 0.04, 0.05, _CPU)


def _singles() -> Singles:
    rates = ((3000, 1000), (2000, 1100), (1000, 2000))
    sides = []
    for ours, theirs in rates:
        sides += [_side("caravan", "at full speed", ours), _side("caravan", "at 1,000 a second", 999)]
        sides += [_side("yardstick", "at full speed", theirs), _side("yardstick", "at 1,000 a second", 999)]
    return Singles(1, sides, {})


def test_the_ratio_is_of_the_medians_at_full_speed_not_of_one_run() -> None:
    assert _singles().rate_ratio == pytest.approx(2000 / 1100)


def test_the_whole_table_stands_in_a_file_that_is_as_wide_as_the_command_prints_it() -> None:
    file = io.StringIO()
    _singles().show(Console(file=file, width=110))
    assert "…" not in file.getvalue()
    assert {"0.15,", "0.20,", "0.10", "2,000", "20.0", "40.0", "50.0"} <= set(file.getvalue().split())
