"""What all commands have in common."""

import subprocess
import sys
from typing import Any

import pytest
import typer.main

from caravan import __version__
from caravan.cli.commands import app
from tests.acceptance.conftest import environment

_WITHOUT_A_FOLDER = {
    *("channels check", "demo", "journeys check", "contacts check", "contacts show"),
    *("journeys pause", "journeys resume", "journeys cancel", "journeys waiting", "journeys move-waiting"),
}


def _commands() -> dict[str, list[str]]:
    """Each command, by its words, and its options."""
    found = {}

    def walk(words: str, command: Any) -> None:
        inner = getattr(command, "commands", None)
        if inner is None:
            found[words] = [option for param in command.params for option in param.opts]
        for word, each in (inner or {}).items():
            walk(f"{words} {word}".strip(), each)

    walk("", typer.main.get_command(app))
    return found


def test_every_command_that_uses_a_data_folder_takes_it_as_an_option() -> None:
    for name, options in _commands().items():
        if not name.startswith(("batch", "bench")) and name not in _WITHOUT_A_FOLDER:
            assert "--data" in options, name


def _run(*words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    from pathlib import Path

    kept = {**environment(Path("/nonexistent")), **more}
    return subprocess.run([sys.executable, "-m", "caravan", *words], env=kept, capture_output=True, text=True)


def test_the_version_is_printed() -> None:
    assert _run("--version").stdout == f"caravan {__version__}\n"


def test_a_shell_can_complete_commands() -> None:
    told = _run(_CARAVAN_COMPLETE="complete_bash", COMP_WORDS="caravan cust", COMP_CWORD="1")
    assert told.stdout.split() == ["customers"]
    assert "--install-completion" in _run("--help").stdout


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CARAVAN_DATABSE_URL", "CARAVAN_DATABASE_URL"),
        ("CARAVAN_SMPT_URL", "CARAVAN_SMTP_URL"),
        ("CARAVAN_TOKENS", "CARAVAN_TOKEN"),
        ("CARAVAN_ZZZZ", None),
    ],
)
def test_an_unknown_variable_is_named_with_the_nearest_good_one_and_never_its_value(
    name: str, meant: str | None
) -> None:
    told = _run("customers", "list", **{name: "sesame-4711"}).stderr
    assert f"{name} is no setting" in told
    assert (f"Is {meant} meant?" in told) if meant else ("meant" not in told)
    assert "sesame" not in told
