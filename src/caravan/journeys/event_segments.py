"""Segments about an event: its properties by their names, those of the contact as `contact.x`."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import sqlglot
from pydantic import AfterValidator
from sqlglot.errors import SqlglotError

from caravan.errors import InvalidInput
from caravan.journeys.segments import MAX_LENGTH, Segment, compile_segment

CONTACT = "contact"


def compile_event_segment(text: str) -> Segment:
    """Read a condition about an event. Raises `InvalidInput` with one sentence.

    It is asked of objects that `event_and_contact` makes. In other segments `contact.x` is another word for `x`, so
    here it is written with one `contact` more.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidInput(f"the segment is longer than {MAX_LENGTH} characters")
    try:
        tokens = sqlglot.tokenize(text, dialect="duckdb")
    except SqlglotError:
        return compile_segment(text)  # which says what is wrong
    places = []
    for index, token in enumerate(tokens):
        following = [each.text for each in tokens[index + 1 : index + 4]]
        begins = token.text == CONTACT and following[:1] == ["."] and (index == 0 or tokens[index - 1].text != ".")
        is_id = following[1:2] == ["id"] and following[2:3] != ["."]
        if begins and not is_id:
            places.append(token.start)
    for place in reversed(places):
        text = f"{text[:place]}{CONTACT}.{text[place:]}"
    return compile_segment(text)


def event_and_contact(event: Mapping[str, Any], contact: str) -> str:
    """The text of a JSON object with an event's properties and, as `contact`, those of a contact, which are the text
    of a JSON object."""
    own = json.dumps({name: value for name, value in event.items() if name != CONTACT}, ensure_ascii=False)
    return f'{own[:-1]}{", " if len(own) > 2 else ""}"{CONTACT}": {contact}}}'


def _segment(text: str) -> str:
    try:
        compile_event_segment(text)
    except InvalidInput as error:
        raise ValueError(error.message) from None
    return text


EventCondition = Annotated[str, AfterValidator(_segment)]
