"""Who may enter a journey again: the member `reentry` of its file."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from caravan.journeys.durations import Duration, read_duration

SENTENCE: Final = "reentry is always, once, not_while_inside or {after: 30 days}"


class Again(StrEnum):
    """When a contact that was in the journey may enter it again."""

    ALWAYS = "always"
    ONCE = "once"
    OUTSIDE = "not_while_inside"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Reentry:
    """The rule; `text` is the duration of `after`, as it was written."""

    again: Again = Again.ALWAYS
    text: str = ""

    @property
    def after(self) -> Duration:
        """For how long a contact that entered may not enter again."""
        return read_duration(self.text) if self.text else Duration()

    def as_value(self) -> str | dict[str, str]:
        """The rule as it stands in a file."""
        return {"after": self.text} if self.again is Again.AFTER else self.again.value


ALWAYS: Final = Reentry()


def read_reentry(value: Any) -> Reentry:
    """The rule that stands so in a file. Raises ValueError with a sentence."""
    if isinstance(value, dict) and set(value) == {"after"} and isinstance(value["after"], str):
        if not read_duration(value["after"]):
            raise ValueError("after which time contacts may enter again is longer than nothing")
        return Reentry(Again.AFTER, value["after"])
    good = (Again.ALWAYS, Again.ONCE, Again.OUTSIDE)
    if not isinstance(value, str) or value not in good:
        raise ValueError(SENTENCE)
    return Reentry(Again(value))
