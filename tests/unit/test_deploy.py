"""The examples in deploy/ name commands, options, settings, routes and files that there are."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer.main
import yaml

from caravan.api import health
from caravan.channels.registry import CHANNELS
from caravan.cli.commands import app
from caravan.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
UNITS = sorted(DEPLOY.glob("systemd/*.service"))
_INSTRUCTIONS = {"FROM", "WORKDIR", "RUN", "COPY", "ENV", "VOLUME", "EXPOSE", "USER", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
PORT = Settings.model_fields["port"].default


def _text(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def _check_command(words: list[str]) -> str:
    """The command is one of caravan's, and so is each of its options; its name."""
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options, words
    return words[0]


def _instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", _text("Dockerfile"), flags=re.MULTILINE))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def _documents() -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in yaml.safe_load_all(_text("kubernetes/caravan.yaml"))}


def _compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(_text("compose.yaml"))
    return found


def _unit(path: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            section[name] = value
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_begins_with_what_it_is_for_and_names_only_settings_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tables = [Settings, *(channel.settings for channel in CHANNELS)]
    known = {f"CARAVAN_{name.upper()}" for table in tables for name in table.model_fields}
    assert text.startswith("# ")
    assert set(re.findall(r"\bCARAVAN_[A-Z_]+", text)) <= known


def test_the_dockerfile_has_two_stages_and_runs_as_an_ordinary_user() -> None:
    found = _instructions()
    assert {name for name, _ in found} <= _INSTRUCTIONS
    assert [name for name, _ in found].count("FROM") == 2
    assert [value for name, value in found if name == "USER"][-1] not in {"root", "0"}
    assert ("EXPOSE", str(PORT)) in found
    (words,) = (yaml.safe_load(value) for name, value in found if name == "CMD")
    _check_command(words)


def test_the_dockerfile_copies_what_there_is_and_the_build_sees_it() -> None:
    stages = {value.split()[-1] for name, value in _instructions() if name == "FROM" and " AS " in value}
    seen = {line[1:] for line in _text("Dockerfile.dockerignore").splitlines() if line.startswith("!")}
    for words in (shlex.split(value) for name, value in _instructions() if name == "COPY"):
        if words[0].startswith("--from="):
            assert words[0].removeprefix("--from=") in stages
            continue
        for source in words[:-1]:
            assert (ROOT / source).exists(), source
            assert source.removeprefix("./") in seen, source


def test_the_dockerfile_installs_extras_that_the_distribution_has() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (named,) = re.findall(r"--constraint constraints\.txt '\.\[([\w,]+)\]'", _text("Dockerfile"))
    assert set(named.split(",")) <= set(extras)


def test_the_compose_file_migrates_before_it_serves_and_has_two_workers() -> None:
    services = _compose()["services"]
    assert {"postgres", "minio", "migrate", "serve", "worker"} <= set(services)
    assert all("image" in each for each in services.values())
    for name in ("migrate", "serve", "worker"):
        assert _check_command(services[name]["command"]) == name
    for name in ("serve", "worker"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["worker"]["deploy"]["replicas"] == 2
    assert services["migrate"]["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}


def test_the_compose_file_names_services_and_volumes_that_it_has() -> None:
    found = _compose()
    for service in found["services"].values():
        assert set(service.get("depends_on", ())) <= set(found["services"])
        assert {each.split(":")[0] for each in service.get("volumes", ())} <= set(found["volumes"])
    settings = found["x-caravan"]["environment"]
    assert urlsplit(settings["CARAVAN_FILES_ENDPOINT_URL"]).hostname in found["services"]
    assert "@postgres:5432/" in settings["CARAVAN_DATABASE_URL"]
    assert found["services"]["serve"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]


def _containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each pod's specification and its container."""
    for each in _documents().values():
        if each["kind"] in {"Job", "Deployment"}:
            pod = each["spec"]["template"]["spec"]
            yield from ((pod, container) for container in pod["containers"])


def test_kubernetes_runs_every_command_as_an_ordinary_user_with_the_secret() -> None:
    commands = []
    for pod, container in _containers():
        commands.append(_check_command(container["args"]))
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["envFrom"] == [{"secretRef": {"name": "caravan"}}]
        assert {each["name"] for each in container.get("volumeMounts", ())} <= {
            each["name"] for each in pod.get("volumes", ())
        }
    assert commands == ["migrate", "serve", "worker"]


def test_kubernetes_probes_routes_that_exist_on_the_port_that_is_served() -> None:
    routes = {route.path for route in health.router.routes}  # type: ignore[attr-defined]
    (serve,) = (container for _, container in _containers() if container["name"] == "serve")
    probes = {kind: serve[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
    assert all(urlsplit(probe["path"]).path in routes and probe["port"] == "http" for probe in probes.values())
    assert probes["readiness"]["path"] == "/readyz?exclude=files"
    assert probes["liveness"]["path"] == "/healthz"
    assert serve["ports"] == [{"name": "http", "containerPort": PORT}]
    assert serve["args"][-1] == str(PORT)


def test_kubernetes_selects_the_pods_that_it_has() -> None:
    found = _documents()
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in found.values() if each["kind"] == "Deployment"]
    selectors = [each["spec"]["selector"]["matchLabels"] for each in found.values() if each["kind"] == "Deployment"]
    assert selectors == labels
    assert found["caravan"]["kind"] == "Service"
    assert found["caravan"]["spec"]["selector"] in labels


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_runs_its_command_as_an_ordinary_user_and_may_write_its_data_folder(path: Path) -> None:
    unit = _unit(path)
    assert set(unit) == {"Unit", "Service", "Install"}
    service = unit["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert Path(program).name == "caravan"
    assert f"caravan-{_check_command(words)}" == path.stem
    assert service["User"] not in {"root", "0", ""}
    assert words[words.index("--data") + 1] == f"/var/lib/{service['StateDirectory']}"
    assert service["StateDirectoryMode"] == "0700"
    assert service["UMask"] == "0077"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")
def test_systemd_finds_nothing_wrong_in_the_units() -> None:
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *map(str, UNITS)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # That the program is not installed where the unit will find it is no fault of the unit.
    faults = [line for line in found.stderr.splitlines() if "deploy/" in line and "is not executable" not in line]
    assert faults == []


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As compose files set those that are not given."""
    monkeypatch.setenv("CARAVAN_SMTP_URL", "")
    assert Settings().smtp_url is None
