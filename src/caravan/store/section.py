"""A section of a file in the store, on this machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Section:
    """A local file that holds a section: its first byte is byte `at` of the whole file."""

    path: Path
    at: int


def patient() -> None:
    """The tick where nothing may stop the getting of a file."""
