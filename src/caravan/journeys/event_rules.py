"""Which event counts: its name, a condition, and what ties it to the contact."""

from typing import Annotated

from pydantic import AfterValidator, Field

from caravan.journeys.event_names import check_name
from caravan.journeys.event_segments import EventCondition
from caravan.journeys.model_part import DefinitionPart

_LONGEST_PROPERTY = 256  # characters of its name


def _property(value: str) -> str:
    if not value.strip() or len(value) > _LONGEST_PROPERTY:
        raise ValueError(f"a property's name has 1 to {_LONGEST_PROPERTY} characters")
    return value


EventName = Annotated[str, AfterValidator(check_name)]
PropertyName = Annotated[str, AfterValidator(_property)]


class EventRule(DefinitionPart):
    """`{event: purchase, if: total > 100, match: order_id}`: an event of this name, of which the condition is true, and
    whose property `match` is the same as the contact's."""

    event: EventName
    condition: EventCondition | None = Field(None, alias="if")
    match: PropertyName | None = None
