"""Set: contacts get properties, by templates over those that they have."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final

import pyarrow as pa
from pydantic import BeforeValidator

from caravan.errors import RenderFailed
from caravan.journeys.json_values import compiled, filled, template_problems
from caravan.journeys.placeholders import ContactView
from caravan.steps.cohort_files import write_outcomes, write_part
from caravan.steps.move import Move, Passage, Tools
from caravan.steps.properties import merged
from caravan.steps.step import CohortStep
from caravan.store.cohorts import CONTACTS, Cohort, Part, read_contacts
from caravan.store.files import Draft
from caravan.store.journal import Record
from caravan.store.ledger import Outcome

_LONGEST: Final = 64 << 10  # characters of JSON that a contact may get
_PIECE: Final = 4_096  # contacts that are changed at once
_PART_BYTES: Final = 64 << 20  # of properties, after which contacts go into another file
_TAKEN: Final = frozenset({"id", "contact", "unsubscribe_url"})  # templates know something else by these names


def _properties(value: Any) -> Any:
    if not isinstance(value, dict) or not value:
        raise ValueError("below set stand properties with their values, like {score: 10}")
    for name in value:
        if not name.strip() or len(name) > 256:
            raise ValueError("a property's name has 1 to 256 characters")
        if name.casefold() in _TAKEN:
            raise ValueError(f"'{name}' can't be set: in a template it is never a property")
    return value


class Set(CohortStep):
    """`set: {score: "{{ score | plus: 1 }}", tier: gold}`: any JSON values, in which every text is a template."""

    kind: ClassVar[str] = "set"
    sole: ClassVar[str | None] = "properties"
    json_fields: ClassVar[frozenset[str]] = frozenset({"properties"})

    properties: Annotated[dict[str, Any], BeforeValidator(_properties)]

    @property
    def makes(self) -> frozenset[str]:
        return frozenset(self.properties)

    @property
    def summary(self) -> str:
        return ", ".join(f"{name} = {_told(value)}" for name, value in self.properties.items())

    def check(self) -> Iterator[tuple[str, str]]:
        yield from template_problems("set", self.properties)

    def changed(self, contacts: pa.Table, now: datetime) -> pa.Table:
        """Those of whom a value can't be filled in stay as they are."""
        texts, _ = self._texts(contacts, now)
        return _with(contacts, texts)

    async def take(self, cohort: Cohort, tools: Tools) -> Move:
        """Everyone goes on with the new properties; those of whom a value can't be filled in as failed, and as they
        were."""
        return await asyncio.to_thread(self._take, cohort, tools)

    def _take(self, cohort: Cohort, tools: Tools) -> Move:
        now = tools.clock.now()
        with tools.files.local(cohort.part.file) as path:
            contacts = read_contacts(path)
        parts, failures = list[Part](), dict[int, str]()
        with Draft(tools.files) as draft:
            for first, changed, failed in self._pieces(contacts, now):
                parts.append(write_part(tools, draft, cohort, changed, f"set{first}"))
                failures |= failed
            record = Record(cohort.step, cohort.part.file, Outcome.PASSED)
            if failures:
                record = _failed(tools, draft, cohort, contacts, failures)
        passed = contacts.num_rows - len(failures)
        outcomes = {Outcome.PASSED: passed, Outcome.FAILED: len(failures)}
        return Move(
            passages=[Passage(part, self.next) for part in parts],
            outcomes={outcome: count for outcome, count in outcomes.items() if count},
            records=[record],
        )

    def _pieces(self, contacts: pa.Table, now: datetime) -> Iterator[tuple[int, pa.Table, dict[int, str]]]:
        """The changed contacts, of as many as one file takes: place of the first, they, and whose change failed."""
        kept, failures, size, first = list[pa.Table](), dict[int, str](), 0, 0
        for start in range(0, contacts.num_rows, _PIECE):
            piece = contacts.slice(start, _PIECE)
            texts, failed = self._texts(piece, now)
            kept.append(_with(piece, texts))
            failures |= {start + place: reason for place, reason in failed.items()}
            size += sum(map(len, texts))
            if size > _PART_BYTES or start + _PIECE >= contacts.num_rows:
                yield first, pa.concat_tables(kept), failures
                kept, failures, size, first = [], {}, 0, start + _PIECE

    def _texts(self, contacts: pa.Table, now: datetime) -> tuple[list[str], dict[int, str]]:
        """The properties of each contact as JSON, and by their places why some could not be changed."""
        texts, failures = contacts["properties"].to_pylist(), dict[int, str]()
        for place, id in enumerate(contacts["id"].to_pylist()):
            try:
                new = filled(self._compiled, ContactView.read(id, texts[place], now))
                texts[place] = _merged(texts[place], new)
            except RenderFailed as error:
                failures[place] = error.message
        return texts, failures

    @cached_property
    def _compiled(self) -> Any:
        return compiled(self.properties)


def _merged(text: str, new: Mapping[str, Any]) -> str:
    try:
        size = len(json.dumps(new, ensure_ascii=False, allow_nan=False).encode())
    except UnicodeEncodeError:
        raise RenderFailed("The properties can't be set: a text holds half a surrogate pair.") from None
    except ValueError:
        raise RenderFailed("The properties can't be set: a number in them is too large.") from None
    if size > _LONGEST:
        raise RenderFailed(f"The properties can't be set: together they are longer than {_LONGEST >> 10} KiB.")
    return merged(text, new)


def _with(contacts: pa.Table, texts: list[str]) -> pa.Table:
    place = contacts.schema.get_field_index("properties")
    return contacts.set_column(place, CONTACTS.field("properties"), pa.array(texts, pa.string()))


def _failed(tools: Tools, draft: Draft, cohort: Cohort, contacts: pa.Table, failures: Mapping[int, str]) -> Record:
    places = range(contacts.num_rows)
    outcomes = [(Outcome.FAILED if each in failures else Outcome.PASSED).value for each in places]
    details = pa.array([failures.get(each) for each in places], pa.string())
    return write_outcomes(tools, draft, cohort, contacts, pa.array(outcomes), details)


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
