"""Properties that a journey asks for and no contact of a file has: mostly misspelt names."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from caravan.errors import Problem
from caravan.journeys.check import Use
from caravan.journeys.fields import Language
from caravan.journeys.wording import nearest

_OF_LIQUID = frozenset({"size", "first", "last"})  # of a text or a list, in a template
_SHOWN = 8  # names, where none is near


class Known(Protocol):
    """The properties that contacts have."""

    def below(self, path: tuple[str, ...]) -> frozenset[str] | None:
        """The names below a property (the properties themselves for ()); None if any name may be there."""


def unknown_properties(uses: Iterable[Use], known: Known) -> Iterator[Problem]:
    """A warning for each use of a property that no contact has, with the name that was probably meant."""
    for use in uses:
        found: tuple[str, ...] = ()
        for name in use.names:
            names = known.below(found)
            if names is None or (found and use.language is Language.TEMPLATE and name in _OF_LIQUID):
                break
            written = _match(name, names, use.language)
            if written is None:
                yield Problem(use.line, use.where, _sentence((*found, name), names))
                break
            found = (*found, written)


def _match(name: str, names: frozenset[str], language: Language) -> str | None:
    """The name that is meant: exactly this one, and in a template else one that differs in case alone."""
    if name in names:
        return name
    if language is Language.SEGMENT:
        return None
    return next((each for each in sorted(names) if each.casefold() == name.casefold()), None)


def _sentence(path: tuple[str, ...], names: frozenset[str]) -> str:
    missing = f"no contact of the file has the property {'.'.join(path)}"
    close = nearest(path[-1], names)
    if close is not None:
        return f"{missing}; did you mean {'.'.join((*path[:-1], close))}?"
    shown = ", ".join(sorted(names)[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return f"{missing}; there {'is' if len(names) == 1 else 'are'} {shown}" if names else missing
