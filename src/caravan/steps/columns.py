"""A field of a step for many contacts at once: templates as columns of texts, and texts as moments.

What can be read in bulk is; a template with filters is filled in contact by contact.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caravan.errors import RenderFailed
from caravan.journeys.placeholders import ContactView, Template
from caravan.journeys.placeholders.dates import read_date
from caravan.journeys.segment_sql import LOCAL_TIME, MOMENT
from caravan.steps.zones import Micros
from caravan.store import sql

_Q = sql.load("caravan.steps", "moments.sql")
#: A placeholder for one property, whose name Liquid takes for nothing else.
_PROPERTY = re.compile(r"\{\{-?\s*(?:contact\.)?([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*-?\}\}", re.ASCII)
_NOT_PROPERTIES: Final = frozenset(
    {"id", "contact", "unsubscribe_url", "nil", "null", "true", "false", "empty", "blank", "and", "or", "not"}
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN = 60  # characters of a text that can't be used


@dataclass(frozen=True, slots=True)
class Column:
    """A text of each contact, and why some have none."""

    texts: pa.Array
    failures: dict[int, str] = field(default_factory=dict)
    constant: str | None = None  # the text of all of them

    def distinct(self) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Each text with the places at which it stands."""
        if self.constant is not None:
            yield self.constant, np.arange(len(self.texts))
            return
        found = self.texts.dictionary_encode()
        indices = found.indices.to_numpy(zero_copy_only=False)
        order = np.argsort(indices, kind="stable")
        bounds = np.searchsorted(indices[order], np.arange(len(found.dictionary) + 1))
        for index, word in enumerate(found.dictionary.to_pylist()):
            yield word, order[bounds[index] : bounds[index + 1]]


def column(template: Template, contacts: pa.Table, duck: duckdb.DuckDBPyConnection, now: datetime) -> Column:
    """What a template gives for each contact. Blocks."""
    if template.constant is not None:
        return Column(pa.repeat(template.constant, contacts.num_rows), constant=template.constant)
    found = _property(template, contacts, duck)
    missing = np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False))
    if not missing.size:
        return Column(found)
    texts, failures = found.to_pylist(), dict[int, str]()
    some = contacts.take(pa.array(missing)) if len(missing) < contacts.num_rows else contacts
    people = zip(missing.tolist(), some["id"].to_pylist(), some["properties"].to_pylist(), strict=True)
    for place, id, properties in people:
        try:
            texts[place] = template.render(ContactView.read(id, properties, now))
        except RenderFailed as error:
            texts[place], failures[place] = "", error.message
    return Column(pa.array(texts, pa.string()), failures)


def _property(template: Template, contacts: pa.Table, duck: duckdb.DuckDBPyConnection) -> pa.Array:
    """The property that the template is a placeholder for, of those that have it by exactly this name."""
    named = _PROPERTY.fullmatch(template.text.strip())
    names = named[1].split(".") if named else []
    if not names or names[0].casefold() in _NOT_PROPERTIES:
        return pa.nulls(contacts.num_rows, pa.string())
    with duck.cursor() as cursor:
        cursor.register("contacts", contacts.select(["properties"]))
        query = cursor.sql(_Q.property, params={"pointer": "".join(f"/{name}" for name in names)})
        return query.to_arrow_table()["text"].combine_chunks()


@dataclass(frozen=True, slots=True)
class Moments:
    """A date or time of each contact in microseconds since 1970; where it is `zoned` that is in UTC, else on the wall.
    `failures` says of the others why there is none."""

    micros: Micros
    zoned: NDArray[np.bool_]
    failures: dict[int, str]


def moments(texts: Column, duck: duckdb.DuckDBPyConnection, now: datetime) -> Moments:
    """The dates and times that these texts are. Blocks."""
    with duck.cursor() as cursor:
        cursor.register("texts", pa.table({"text": texts.texts}))
        found = cursor.sql(_Q.moments, params={"local": LOCAL_TIME, "moment": MOMENT}).to_arrow_table()
    read = found["micros"].is_valid().to_numpy()
    micros = found["micros"].fill_null(0).to_numpy().copy()
    zoned = found["zoned"].fill_null(False).to_numpy().copy()
    failures, known = dict(texts.failures), dict[str, tuple[int, bool] | None]()
    places = np.flatnonzero(~read)
    for place, text in zip(places.tolist(), texts.texts.take(pa.array(places)).to_pylist(), strict=True):
        if text not in known:
            known[text] = _read(text, now)
        one = known[text]
        if one is not None:
            micros[place], zoned[place] = one
        elif place not in failures:
            failures[place] = f"{shown(text)} is no date"
    return Moments(micros, zoned, failures)


def _read(text: str, now: datetime) -> tuple[int, bool] | None:
    found = now if text.strip().lower() in ("now", "today") else read_date(text)
    if found is None:
        return None
    zoned = found.tzinfo is not None
    return ((found if zoned else found.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1), zoned


def shown(text: str) -> str:
    """A text of a contact in a sentence, without what would break a line."""
    plain = "".join(each if each.isprintable() else "�" for each in text[: _SHOWN + 1])
    return f"'{plain[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}'" if text.strip() else "nothing"
