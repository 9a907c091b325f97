"""The texts of a step that are read as a language: which they are, where they stand, and the names that they use."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from liquid.exceptions import LiquidError
from pydantic.fields import FieldInfo

from caravan.errors import InvalidInput
from caravan.journeys.fields import Language
from caravan.journeys.model import Step
from caravan.journeys.model_part import DefinitionPart
from caravan.journeys.placeholders.contact import UNSUBSCRIBE_URL
from caravan.journeys.placeholders.engine import make_environment
from caravan.journeys.segments import compile_with_warnings
from caravan.journeys.step_node import Path

Names = tuple[str, ...]  # address.city is ("address", "city")
_LIQUID = make_environment(html=False)


@dataclass(frozen=True, slots=True)
class StepText:
    """A text at `path` in its step."""

    path: Path
    language: Language
    text: str


def texts_of(step: Step) -> Iterator[StepText]:
    """All texts of a step that are segments or templates."""
    below: Path = () if step.sole else (step.kind,)
    for name, field in type(step).model_fields.items():
        value, alias = getattr(step, name), field.alias or name
        path = (step.kind,) if name == step.sole else (*below, alias)
        if name in step.json_fields:
            yield from _templates(path, value)
        else:
            yield from _found(path, _annotation(field), value)


def template_fields(step_type: type[Step]) -> Iterator[Path]:
    """Where below the kind of a step the fields are that hold templates."""
    for name, field in step_type.model_fields.items():
        if name in step_type.json_fields or _holds_templates(_annotation(field)):
            yield () if name == step_type.sole else (field.alias or name,)


def _holds_templates(annotation: Any) -> bool:
    if annotation is Language.TEMPLATE:
        return True
    if isinstance(annotation, type) and issubclass(annotation, DefinitionPart):
        return any(_holds_templates(_annotation(field)) for field in annotation.model_fields.values())
    return any(map(_holds_templates, get_args(annotation)))


def _templates(path: Path, value: Any) -> Iterator[StepText]:
    """Every text in a JSON value is a template."""
    if isinstance(value, str):
        yield StepText(path, Language.TEMPLATE, value)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _templates((*path, key), each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _templates((*path, index), each)


def _annotation(field: FieldInfo) -> Any:
    """The type as it was written; pydantic keeps what `Annotated` adds by itself."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _found(path: Path, annotation: Any, value: Any) -> Iterator[StepText]:
    """The texts in a value of this type."""
    if value is None:
        return
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        languages = [each for each in marks if isinstance(each, Language)]
        if languages and isinstance(value, str):
            yield StepText(path, languages[0], value)
        else:
            yield from _found(path, inner, value)
    elif isinstance(value, DefinitionPart):
        for name, field in type(value).model_fields.items():
            yield from _found((*path, field.alias or name), _annotation(field), getattr(value, name))
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _found((*path, key), get_args(annotation)[-1], each)
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _found((*path, index), get_args(annotation)[0], each)
    else:
        for each in get_args(annotation):
            yield from _found(path, each, value)


def links_to_unsubscribe(step: Step) -> bool:
    """Whether a text of the step has the placeholder `unsubscribe_url`."""
    return any(UNSUBSCRIBE_URL in text.text.casefold() for text in texts_of(step))


def names_and_warnings(text: StepText) -> tuple[list[Names], tuple[str, ...]]:
    """The properties that a text asks a contact for, and warnings about it; of what can't be read, none."""
    try:
        if text.language is Language.SEGMENT:
            segment, warnings = compile_with_warnings(text.text)
            return sorted(segment.paths), warnings
        return sorted(set(_names_in_template(text.text))), ()
    except (InvalidInput, LiquidError):
        return [], ()


def _names_in_template(text: str) -> Iterator[Names]:
    found = _LIQUID.from_string(text).analyze().globals if "{" in text else {}
    for variables in found.values():
        for variable in variables:
            words = _words(variable.segments)
            own = words[1:] if words[0] == "contact" else words
            if words[:1] and words[0].casefold() == UNSUBSCRIBE_URL:
                continue
            if own and own[0] != "id":
                yield own


def _words(segments: Iterable[object]) -> Names:
    """The beginning of a path that is written: `basket[0].name` is known up to basket."""
    found: list[str] = []
    for each in segments:
        if not isinstance(each, str):
            break
        found.append(each)
    return tuple(found)
