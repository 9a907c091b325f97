"""Secrets by reference: `env:NAME` is a variable of the environment, `file:/path` the content of a file."""

import os
from collections.abc import Mapping
from pathlib import Path

from caravan.errors import InvalidSetting


def is_reference(text: str) -> bool:
    """Whether it says where a secret is, instead of being one."""
    return text.startswith(("env:", "file:")) and len(text) > 5


def look_up(reference: str, what: str, environment: Mapping[str, str] | None = None) -> str:
    """The secret that is called `what`. Raises `InvalidSetting`, which never tells it."""
    kind, _, where = reference.partition(":")
    if kind == "env":
        found = (os.environ if environment is None else environment).get(where, "").strip()
        if not found:
            raise InvalidSetting(f"The {what} is not there: the variable {where} is not set.")
        return found
    try:
        found = Path(where).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError, ValueError):
        raise InvalidSetting(f"The {what} is not there: the file {where} can't be read.") from None
    if not found:
        raise InvalidSetting(f"The {what} is not there: the file {where} is empty.")
    return found
