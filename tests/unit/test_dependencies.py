"""What the package imports is what it declares, so that a fresh install can run."""

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What a declared distribution brings along and means to be used with: {imported: declared}.
_WITH = {
    "aiobotocore": "s3fs",
    "botocore": "s3fs",
    "fsspec": "s3fs",
    "markupsafe": "python-liquid",
    "multidict": "aiohttp",
    "psycopg_pool": "psycopg",
    "starlette": "fastapi",
    "yarl": "aiohttp",
}


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


def _declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return {_name(each) for each in [*project["dependencies"], *extras["server"], *extras["s3"]]}


def _imported() -> dict[str, Path]:
    """Each module of another distribution, with a file that imports it."""
    found: dict[str, Path] = {}
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                found.setdefault(name.partition(".")[0], file)
    return {name: file for name, file in found.items() if name not in sys.stdlib_module_names and name != "caravan"}


def test_everything_that_the_source_imports_is_declared() -> None:
    distributions, declared = metadata.packages_distributions(), _declared()
    for module, file in _imported().items():
        owners = {_name(each) for each in distributions.get(module, [module])}
        assert owners & declared or _WITH.get(module) in declared, f"{file} imports {module}, which is not declared"
