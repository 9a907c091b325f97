"""Paces, providers and relays on a command line."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from caravan.cli.channels import read_limits
from caravan.cli.commands import app
from caravan.errors import InvalidInput, InvalidSetting


@pytest.mark.parametrize(
    ("words", "limits"),
    [
        (["200/s"], (200.0, None)),
        (["0.5/s"], (0.5, None)),
        (["6_000/min"], (100.0, None)),
        (["3600/h"], (1.0, None)),
        (["500000/day"], (None, 500_000)),
        (["200/second", "1000000/d"], (200.0, 1_000_000)),
        (["off"], (None, None)),
    ],
)
def test_a_pace_is_a_number_and_a_unit(words: list[str], limits: tuple[float | None, int | None]) -> None:
    assert read_limits(words) == limits


@pytest.mark.parametrize("word", ["200", "fast", "200/week", "-1/s", "1e3/s", "/s", "200/ s"])
def test_what_is_none_is_told_with_good_ones(word: str) -> None:
    with pytest.raises(typer.BadParameter, match="200/s, 5000/min, 100000/day, or off"):
        read_limits([word])


def test_the_provider_of_an_address_and_the_limits_of_all_are_told() -> None:
    told = CliRunner().invoke(app, ["channels", "providers", "anna@gmail.com", "a@example.com"])
    assert told.output.split() == ["anna@gmail.com", "gmail", "a@example.com", "other"]
    lines = CliRunner().invoke(app, ["channels", "providers", "--json"]).output.splitlines()
    known = {each["provider"]: each for each in map(json.loads, lines)}
    assert known["gmail"]["connections"] == 5 and known["comcast"]["tls"] is True


def test_a_file_of_rules_that_can_not_be_used_is_told_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "replies.yaml"
    file.write_text("- {code: 550, result: failed}\n- {code: 5, result: failed}\n")
    monkeypatch.setenv("CARAVAN_REPLIES", str(file))
    result = CliRunner().invoke(app, ["channels", "providers"])
    assert isinstance(result.exception, InvalidSetting) and "line 2: code should be" in result.exception.message


@pytest.mark.parametrize("name", ["default", "A", "a b", "x" * 33])
def test_a_relay_is_called_by_a_name_that_steps_can_write(name: str) -> None:
    result = CliRunner().invoke(app, ["channels", "relay", "add", name, "--url-from", "env:X"])
    assert isinstance(result.exception, InvalidInput)


def test_a_relays_url_is_not_taken_on_the_command_line_nor_repeated() -> None:
    result = CliRunner().invoke(app, ["channels", "relay", "add", "a", "--url-from", "smtp://u:geheim@h"])
    assert isinstance(result.exception, InvalidInput)
    assert "geheim" not in result.output + result.exception.message
