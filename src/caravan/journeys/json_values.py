"""JSON values in which every text is a template."""

from collections.abc import Iterator
from typing import Any

from caravan.journeys.fields import check_template
from caravan.journeys.placeholders import ContactView, Template, compile_template


def compiled(value: Any) -> Any:
    """The same value with a template in place of each text. Raises `InvalidInput` for one that can't be read."""
    if isinstance(value, str):
        return compile_template(value)
    if isinstance(value, dict):
        return {key: compiled(each) for key, each in value.items()}
    return [compiled(each) for each in value] if isinstance(value, list) else value


def filled(value: Any, contact: ContactView) -> Any:
    """What `compiled` gave, filled in for a contact. Raises `RenderFailed`."""
    if isinstance(value, Template):
        return value.value(contact)
    if isinstance(value, dict):
        return {key: filled(each, contact) for key, each in value.items()}
    return [filled(each, contact) for each in value] if isinstance(value, list) else value


def template_problems(where: str, value: Any) -> Iterator[tuple[str, str]]:
    """What is wrong with the texts in a JSON value: (where, message)."""
    if isinstance(value, str):
        try:
            check_template(value)
        except ValueError as error:
            yield where, str(error)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from template_problems(f"{where}.{key}", each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from template_problems(f"{where}[{index}]", each)
