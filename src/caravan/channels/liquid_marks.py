"""Liquid out of the way while something else reads a template: each placeholder becomes a word that HTML, CSS and MJML
let through, and comes back octet for octet."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

_LIQUID: Final = re.compile(
    r"\{%-?\s*(?P<verbatim>raw|comment)\b.*?\{%-?\s*end(?P=verbatim)\s*-?%\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL
)
_TAG: Final = re.compile(r"\{%-?\s*(\w+)")
_BLOCKS: Final = frozenset({"if", "unless", "case", "for", "tablerow", "capture"})


@dataclass(frozen=True)
class Marked:
    """A template in which words stand for its placeholders and tags: `text` has them, `tokens` are what they stand for.

    A word is letters and digits: a CSS identifier, an attribute's name, a piece of a URL or of a number's unit.
    """

    text: str
    tokens: tuple[str, ...]
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, template: str) -> Self:
        """The template with its words."""
        head = next(f"zq{number}q" for number in range(len(template) + 1) if f"zq{number}q" not in template.lower())
        tokens: list[str] = []

        def word(found: re.Match[str]) -> str:
            tokens.append(found[0])
            return f"{head}{len(tokens) - 1}z"

        return cls(_LIQUID.sub(word, template), tuple(tokens), re.compile(f"{head}([0-9]+)z", re.IGNORECASE))

    def back(self, text: str) -> str:
        """`text` with the placeholders again where the words are."""
        return self.pattern.sub(lambda found: self.tokens[int(found[1])], text)

    def numbers(self, text: str) -> Iterator[int]:
        """Which tokens stand in `text`, in its order."""
        return (int(found[1]) for found in self.pattern.finditer(text))

    def is_tag(self, number: int) -> bool:
        """Whether a token is a tag like `{% if … %}`, and no placeholder."""
        return self.tokens[number].startswith("{%")

    def opens(self, number: int) -> bool:
        """Whether a token begins a block."""
        tag = _TAG.match(self.tokens[number])
        return tag is not None and tag[1] in _BLOCKS

    def has_tag(self, text: str) -> bool:
        """Whether a tag stands in `text`."""
        return any(map(self.is_tag, self.numbers(text)))

    def depth(self, place: int) -> int:
        """In how many blocks one stands at a place of `text`."""
        before = bisect_left(self._depths, (place, 0))
        return self._depths[before - 1][1] if before else 0

    @cached_property
    def _depths(self) -> list[tuple[int, int]]:
        """Each word's place, and the depth behind it."""
        found, depth = [], 0
        for word in self.pattern.finditer(self.text):
            number = int(word[1])
            if self.opens(number):
                depth += 1
            elif (tag := _TAG.match(self.tokens[number])) and tag[1].startswith("end"):
                depth -= 1
            found.append((word.start(), depth))
        return found
