"""What a recipient's text message asks for, by the words of keywords.yaml."""

import re
import unicodedata
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final

import yaml

_LOOKED_AT: Final = 100  # characters
_FEW: Final = 5  # words
_BETWEEN: Final = re.compile(r"[\W_]+")


class Keyword(StrEnum):
    """What is asked for."""

    STOP = "stop"
    START = "start"
    HELP = "help"


def keyword_of(text: str) -> Keyword | None:
    """What a message asks for; None for any other."""
    said = _folded(text[:_LOOKED_AT])
    if not said or len(text.strip()) > _LOOKED_AT:
        return None
    whole, first = _words()
    if said in whole:
        return whole[said]
    words = said.split(" ")
    return first.get(words[0]) if len(words) <= _FEW else None


@cache
def _words() -> tuple[dict[str, Keyword], dict[str, Keyword]]:
    """The messages, and the first words, that mean something."""
    found = yaml.safe_load(files("caravan.channels.sms").joinpath("keywords.yaml").read_text("utf-8"))
    first = {_folded(word): Keyword(name) for name, lists in found.items() for word in lists["first"]}
    whole = {
        _folded(word): Keyword(name) for name, lists in found.items() for words in lists["whole"] for word in words
    }
    return {**first, **whole}, first


def _folded(text: str) -> str:
    """Letters and digits without accents, with one blank between words."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return _BETWEEN.sub(" ", plain.casefold()).strip()
