"""Docs that can't drift: what they name exists, and what exists they name."""

import re
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

import caravan
from caravan.channels.registry import CHANNELS, STEP_TYPES
from caravan.cli.commands import app
from caravan.client import Client
from caravan.settings import Settings

ROOT = Path(__file__).parents[2]
SOURCE = Path(caravan.__file__).parent


def _doc(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _settings() -> dict[str, FieldInfo]:
    """The fields of the table, and those of each channel."""
    found = dict(Settings.model_fields)
    for channel in CHANNELS:
        found |= channel.settings.model_fields
    return found


def test_every_setting_is_in_the_settings_page_with_its_default() -> None:
    page = _doc("docs/settings.md")
    for name, field in _settings().items():
        line = next((each for each in page.splitlines() if each.startswith(f"| `CARAVAN_{name.upper()}` |")), None)
        assert line is not None, name
        assert field.description is not None
        assert field.description.replace("|", "\\|") in line, name
        assert f"`{field.default}`" in line or field.default is None, name


def test_the_settings_page_names_no_setting_that_is_gone() -> None:
    named = re.findall(r"^\| `CARAVAN_([A-Z_]+)` \|", _doc("docs/settings.md"), re.MULTILINE)
    assert sorted(named) == sorted(name.upper() for name in _settings())


def _commands() -> list[str]:
    import typer.main

    root = typer.main.get_command(app)
    found = []
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found += [f"{name} {each}" for each in inner] if inner else [name]
    return found


@pytest.mark.parametrize("command", _commands())
def test_every_command_is_in_the_commands_page(command: str) -> None:
    assert f"`caravan {command}" in _doc("docs/commands.md")


@pytest.mark.parametrize("kind", STEP_TYPES)
def test_every_step_type_is_in_the_journeys_page(kind: str) -> None:
    assert re.search(rf"^#+ .*`{kind}`", _doc("docs/journeys.md"), re.MULTILINE)


def test_every_route_is_in_the_readme_or_the_api_page() -> None:
    from caravan.api import openapi
    from caravan.api.app import RESOURCES

    page = _doc("docs/api.md")
    for module in (each for each in RESOURCES if each is not openapi):
        for route in module.router.routes:
            for method in route.methods:  # type: ignore[attr-defined]
                path = route.path.replace(":path}", "}")  # type: ignore[attr-defined]
                assert f"`{method} {path}`" in page, (method, path)


def test_the_way_of_a_contact_names_functions_that_exist() -> None:
    page = _doc("docs/architecture.md")
    named = re.findall(r"`(\w+/\w+\.py): ([\w.]+)`", page)
    assert len(named) > 15
    for file, function in named:
        text = (SOURCE / file).read_text(encoding="utf-8")
        last = function.rpartition(".")[2]
        assert re.search(rf"^\s*(async def|def|class) {last}\b", text, re.MULTILINE), (file, function)


def test_every_folder_and_its_line_are_in_the_architecture_page() -> None:
    page = _doc("docs/architecture.md")
    for folder in SOURCE.iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert f"| `{folder.name}/` |" in page, folder.name


def test_every_link_in_the_docs_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_every_command_line_help_has_an_example() -> None:
    import typer.main

    root = typer.main.get_command(app)
    for command in root.commands.values():  # type: ignore[attr-defined]
        for each in getattr(command, "commands", {"": command}).values():
            assert "Example:" in (each.help or ""), each.name


def test_alerts_are_set_on_metrics_that_there_are() -> None:
    alerts = set(re.findall(r"`?\b(caravan_[a-z_]+)\b", _doc("docs/operation.md")))
    assert len(alerts) > 3
    assert alerts <= set(re.findall(r"\bcaravan_[a-z_]+\b", _doc("docs/api.md")))


def test_every_call_of_the_client_is_in_the_page_of_the_sdk() -> None:
    page = _doc("docs/python.md")
    calls = [name for name in vars(Client) if not name.startswith("_") and name != "change"]
    assert {name for name in calls if not re.search(rf"`{name}[(`]", page)} == set()
