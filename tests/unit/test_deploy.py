"""The files in deploy/ name only what there is: commands with their options, settings, paths of the API, files."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from caravan.cli.commands import app
from caravan.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
KUBERNETES = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "caravan.yaml").read_text(encoding="utf-8")))
DOCKERFILE = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))


def _check_command(words: list[str]) -> None:
    """A command line of `caravan` whose command and options there are."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert words[0] in commands, words
    known = {option for each in commands[words[0]].params for option in each.opts}
    assert {word for word in words if word.startswith("--")} <= known, words


def _containers() -> Iterator[dict[str, Any]]:
    for each in KUBERNETES:
        template = each.get("spec", {}).get("template", {})
        yield from template.get("spec", {}).get("containers", [])


@pytest.mark.parametrize("file", [each for each in DEPLOY.rglob("*") if each.is_file()], ids=lambda file: file.name)
def test_every_setting_that_is_named_there_is(file: Path) -> None:
    named = set(re.findall(r"CARAVAN_([A-Z_]+)", file.read_text(encoding="utf-8")))
    assert {name for name in named if name.lower() not in Settings.model_fields} == set()


def test_the_image_is_built_of_files_that_there_are_and_runs_as_no_root() -> None:
    steps = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if line.strip() and not line.startswith("#")]
    assert [step[0] for step in steps].count("FROM") == 2
    for name, rest in steps:
        if name == "COPY" and not rest.startswith("--from"):
            assert all((ROOT / source).exists() for source in rest.split()[:-1]), rest
    user = [rest for name, rest in steps if name == "USER"][-1]
    assert user not in ("root", "0")
    extras = re.search(r"'\.\[([\w,]+)\]'", DOCKERFILE)
    assert extras is not None and set(extras[1].split(",")) == {"server", "s3"}


def test_compose_runs_commands_that_there_are_in_their_order() -> None:
    services = COMPOSE["services"]
    ours = {name: each for name, each in services.items() if each.get("image") == "caravan"}
    assert set(ours) == {"migrate", "serve", "worker"}
    for each in ours.values():
        _check_command(each["command"])
    assert ours["worker"]["deploy"]["replicas"] == 2
    for name in ("serve", "worker"):
        assert ours[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_kubernetes_runs_commands_that_there_are_as_no_root_and_probes_paths_of_the_api() -> None:
    assert {each["kind"] for each in KUBERNETES} == {"Job", "Deployment", "Service"}
    for each in KUBERNETES:
        if "template" in each["spec"]:
            assert each["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    probes = set()
    for container in _containers():
        _check_command(container["args"])
        probes |= {probe["httpGet"]["path"] for name, probe in container.items() if name.endswith("Probe")}
    assert probes == {"/healthz", "/readyz", "/readyz?exclude=files"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_that_there_is_as_no_root(unit: Path) -> None:
    lines = dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE))
    assert lines["User"] not in ("root", "")
    program, *words = shlex.split(lines["ExecStart"])
    assert program.endswith("/bin/caravan")
    _check_command(words)
    assert lines["UMask"] == "0077"


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As compose files set those that are not given."""
    monkeypatch.setenv("CARAVAN_SMTP_URL", "")
    assert Settings().smtp_url is None
