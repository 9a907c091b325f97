"""The table of settings."""

from pathlib import Path

import pytest

from caravan.errors import InvalidSetting
from caravan.settings import Settings, read_settings


def test_a_setting_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARAVAN_COHORT_SIZE", "7")
    assert read_settings().cohort_size == 7


def test_what_the_command_line_says_wins_and_what_it_does_not_say_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARAVAN_PORT", "1")
    assert read_settings(port=2).port == 2
    assert read_settings(port=None).port == 1


@pytest.mark.parametrize(("name", "value"), [("PORT", "many"), ("WINDOW_SIZE", "0"), ("PORT", "70000")])
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"CARAVAN_{name}", value)
    with pytest.raises(InvalidSetting, match=f"CARAVAN_{name}"):
        read_settings()


def test_the_data_folder_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings(data=Path("here")).folder == tmp_path.resolve() / "here"


def test_every_setting_says_what_it_is_for() -> None:
    assert all((field.description or "").endswith(".") for field in Settings.model_fields.values())
