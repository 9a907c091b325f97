"""What a segment says and hardly means: quotes of the wrong kind, names that look like texts, comparisons never true.

A warning does not keep a journey from being published: each of these can be meant. Typographic quotes can't.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from math import isfinite

from sqlglot import exp

from caravan.errors import InvalidInput
from caravan.journeys import segment_tree as tree
from caravan.journeys.segment_sql import FALSE_WORDS, NUMBER, TIMES, TRUE_WORDS
from caravan.journeys.segment_tree import Kind, Node

TYPOGRAPHIC = "‘’‚‛“”„‟′″‵‶´`«»‹›＇＂❛❜❝❞〝〞「」『』"
_CLOSED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_HYPHENATED = re.compile(r"(?<![\w.])[^\W\d][\w.]*(?:-[^\W\d][\w.]*)+")
_VALUES = frozenset({"yes", "no", "y", "n", "t", "f", "off", "none", "nil", "undefined", "nan", "empty"})
_KINDS = ("L", "N", "M", "Pc")  # Unicode's categories of what a name is made of: letters, digits, marks, _
_JOINERS = "\u200c\u200d"  # they stand inside words of some scripts
_WRITTEN = (exp.Literal, exp.Boolean, exp.Cast)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)


def refuse_typographic_quotes(text: str) -> None:
    """Raises `InvalidInput` if a quotation mark of typography stands where SQL expects a straight one."""
    outside = _blanked(text)
    found = next((place for place, letter in enumerate(outside) if letter in TYPOGRAPHIC), None)
    if found is None:
        return
    line, column = text.count("\n", 0, found) + 1, found - text.rfind("\n", 0, found)
    raise InvalidInput(
        f"{text[found]} is not a quotation mark of SQL; texts stand in straight quotes, like 'yes'"
        f" (line {line}, column {column})"
    )


def warnings_about(text: str, parsed: exp.Expr, root: Node) -> tuple[str, ...]:
    """Sentences about a condition that can be read, each once, in the order in which they are found."""
    found = [*_about_hyphens(text), *_about_names(parsed), *_about_words(parsed), *_about_literals(root)]
    return tuple(dict.fromkeys(found))


def _blanked(text: str) -> str:
    """The text with blanks in place of its literals, quoted names and comments; all else keeps its place."""
    return _CLOSED.sub(lambda found: " " * len(found[0]), text)


def _about_hyphens(text: str) -> Iterator[str]:
    for found in _HYPHENATED.finditer(_blanked(text)):
        name, parts = found[0], found[0].split("-")
        yield (
            f'{name} is read as {" minus ".join(parts)}; the property of that name is written "{name}",'
            f" and a difference with blanks: {' - '.join(parts)}"
        )


def _about_names(parsed: exp.Expr) -> Iterator[str]:
    for column in parsed.find_all(exp.Column):
        names = [part for part in column.parts if isinstance(part, exp.Identifier)]
        for name in names:
            if not name.quoted and (odd := next((each for each in name.name if not _belongs(each)), None)):
                told = unicodedata.name(odd, "a character without a name").lower()
                yield (
                    f"“{name.name}” is read as the name of a property, with U+{ord(odd):04X} ({told}) in it;"
                    " a name that is meant so is written in double quotes"
                )
        first = names[0].name if names else ""
        if first.lower() in ("id", "contact") and first != first.lower():
            yield f"{first} is read as a property of that name; what a contact has by itself is written {first.lower()}"


def _belongs(letter: str) -> bool:
    return letter in _JOINERS or unicodedata.category(letter).startswith(_KINDS)


def _about_words(parsed: exp.Expr) -> Iterator[str]:
    for node in parsed.walk():
        if isinstance(node, _COMPARISONS):
            yield from _about_sides(node.this, node.expression)
        elif isinstance(node, exp.In):
            yield from _about_texts(node.expressions, every=True)
        elif isinstance(node, exp.Between):
            yield from _about_texts([node.args["low"], node.args["high"]])
        elif isinstance(node, (exp.StartsWith, exp.EndsWith, exp.Contains)):
            yield from _about_texts([node.expression])
        elif isinstance(node, (exp.Coalesce, exp.Concat)):
            yield from _about_texts(node.expressions)
        elif isinstance(node, exp.DPipe):
            yield from _about_texts([node.this, node.expression])


def _about_sides(left: exp.Expr, right: exp.Expr) -> Iterator[str]:
    """The two sides of a comparison; if one is a literal, the other is surely meant as a property."""
    first, second = _core(left), _core(right)
    if isinstance(first, exp.Literal | exp.Boolean | exp.Cast) or isinstance(
        second, exp.Literal | exp.Boolean | exp.Cast
    ):
        return
    yield from _about_texts([right])
    if isinstance(second, exp.Column) and not _is_like_a_text(second):
        plain = isinstance(first, exp.Column) and not _needs_quotes(first.name)
        yield from _about_texts([left] if plain else [])


def _about_texts(nodes: list[exp.Expr], *, every: bool = False) -> Iterator[str]:
    """Names where a text is likelier: those in double quotes, words like yes, and `every` one in a list."""
    for node in map(_core, nodes):
        if isinstance(node, exp.Column) and len(node.parts) == 1 and (every or _is_like_a_text(node)):
            written = node.this.sql(dialect="duckdb") if isinstance(node.this, exp.Identifier) else node.name
            text = node.name.replace("'", "''")
            yield f"{written} is read as the name of a property; a text stands in single quotes: '{text}'"


def _core(node: exp.Expr) -> exp.Expr:
    while isinstance(node, (exp.Paren, exp.Lower, exp.Upper, exp.Trim)):
        node = node.this
    return node


def _is_like_a_text(column: exp.Column) -> bool:
    name = column.this
    return isinstance(name, exp.Identifier) and (bool(name.quoted) or name.name.lower() in _VALUES)


def _needs_quotes(name: str) -> bool:
    return re.fullmatch(r"[^\W\d]\w*", name) is None


def _about_literals(root: Node) -> Iterator[str]:
    for node in tree.walk(root):
        texts = [each.value for each in node.args if each.op == "text"]
        if node.op == "read" and texts and not _is_readable(texts[0], node.kind):
            yield f"'{_short(texts[0])}' is read as {node.kind} here and is none, so this is never true"
        if node.op == "compare" and node.value not in ("=", "<>"):
            for text in texts:
                if _is_readable(text, Kind.NUMBER):
                    yield f"'{_short(text)}' is compared as a text here, and '9' comes after '10'; write {text.strip()}"


def _is_readable(text: str, kind: Kind) -> bool:
    """Whether a text can be read as a value of this kind."""
    if kind is Kind.NUMBER:
        return re.fullmatch(NUMBER, text) is not None and isfinite(float(text))
    if kind is Kind.TRUTH:
        return text.strip().lower() in (*TRUE_WORDS, *FALSE_WORDS)
    if kind is not Kind.TIME:
        return True
    try:
        datetime.fromisoformat(text[:10])
    except ValueError:
        return False
    return re.fullmatch(TIMES, text) is not None


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
