"""Values in what providers send, which may be of any type."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

_LONGEST: Final = 4_000


def text(value: Any) -> str:
    """A text as it is, a number as one, and nothing for all else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return str(value)[:_LONGEST]


def inner(value: Any, *names: str) -> dict[str, Any]:
    """The object at this place in objects; empty where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return dict(value) if isinstance(value, Mapping) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def moment(value: Any) -> datetime | None:
    """A moment in ISO 8601, or in seconds since 1970; None for what is none."""
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
            return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        return datetime.fromtimestamp(float(value), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
