"""What `caravan bench` refuses before it starts anything."""

import pytest
from typer.testing import CliRunner

from caravan.cli.commands import app


@pytest.mark.parametrize("measurement", ["intake", "entry", "api", "wait", "email", "webhook", "console"])
def test_a_number_of_rows_that_is_none_is_wrong_usage(measurement: str) -> None:
    assert CliRunner().invoke(app, ["bench", measurement, "--rows", "0"]).exit_code == 2


@pytest.mark.parametrize("measurement", ["entry", "email"])
def test_a_number_of_workers_that_is_none_is_wrong_usage(measurement: str) -> None:
    assert CliRunner().invoke(app, ["bench", measurement, "--workers", "0"]).exit_code == 2
