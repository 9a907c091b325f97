"""What a journey is: steps that lead to each other, from the first one on."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from pydantic import Field

from caravan.errors import NotFound
from caravan.journeys import exits
from caravan.journeys.exits import Exits
from caravan.journeys.model_part import DefinitionPart
from caravan.journeys.reentry import ALWAYS, Reentry

STEP_ID = r"^[A-Za-z0-9_-]{1,64}$"


class Step(DefinitionPart):
    """One node of a journey. The fields of a step type are the keys below its kind in the file.

    `kind` is the word in the file; `sole` names the field that stands alone there, without a key (`wait: 3 days`);
    `json_fields` take any JSON value, every text in which is a template; all others take a text as it was written.
    """

    kind: ClassVar[str]
    sole: ClassVar[str | None] = None
    json_fields: ClassVar[frozenset[str]] = frozenset()
    leads: ClassVar[tuple[str, ...]] = ()  # the keys below the kind that name a step, or hold branches that do

    id: str = Field(pattern=STEP_ID)
    next: str | None = None

    def targets(self) -> list[tuple[str, str]]:
        """The steps that this one can lead to: (where in the step, step id)."""
        return [("next", self.next)] if self.next is not None else []

    def captions(self) -> list[str]:
        """For each of the targets, in few words, who takes that way; empty where everyone does."""
        return ["" if where == "next" else where.rpartition(".")[2] for where, _ in self.targets()]

    @property
    def may_end(self) -> bool:
        """Whether the journey can end for a contact that leaves the step."""
        return not self.targets()

    @property
    def summary(self) -> str:
        """In one line what the step does; empty if its type says it all."""
        content = getattr(self, self.sole) if self.sole else ""
        return content if isinstance(content, str) else ""

    def check(self) -> Iterator[tuple[str, str]]:
        """What else is wrong with it, like templates that can't be read: (where in the step, message)."""
        yield from ()

    @property
    def makes(self) -> frozenset[str]:
        """The properties that contacts may get here."""
        return frozenset()

    @property
    def listens(self) -> frozenset[str]:
        """The events that lead contacts on before they are due; none but at a step that waits for some."""
        return frozenset()

    @property
    def enters(self) -> int | None:
        """The number of another journey that contacts enter here."""
        return None

    @property
    def takes_time(self) -> bool:
        """Whether contacts stand here until a later moment. A circle needs such a step."""
        return False

    @property
    def waits(self) -> bool:
        """Whether contacts may stand here until a later moment."""
        return self.takes_time

    def as_dict(self) -> dict[str, Any]:
        """The step as it stands in a file."""
        content = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        own = {"id": content.pop("id"), "next": content.pop("next", None)}
        body = content[self.sole] if self.sole else content
        return {"id": own["id"], self.kind: body} | ({"next": own["next"]} if own["next"] else {})


@dataclass(frozen=True)
class Journey:
    """A definition that has been checked whole. `journey` is its number (1 … 2^63-1), the first step its entry."""

    journey: int
    name: str
    steps: tuple[Step, ...]
    reentry: Reentry = ALWAYS
    exits: Exits = exits.NEVER

    def rules_as_dict(self) -> dict[str, Any]:
        """Who may enter again, and who leaves on the way, as it stands in a file: what is not said there is missing."""
        return ({} if self.reentry == ALWAYS else {"reentry": self.reentry.as_value()}) | self.exits.as_dict()

    @property
    def entry(self) -> Step:
        """Where every contact starts."""
        return self.steps[0]

    def step(self, id: str) -> Step:
        """The step with this id. Raises `NotFound`."""
        try:
            return self._by_id[id]
        except KeyError:
            raise NotFound(f"Journey {self.journey} has no step {id}.") from None

    def place(self, id: str) -> int:
        """Where the step stands among the steps, from 0. Raises `NotFound`."""
        return self.steps.index(self.step(id))

    @cached_property
    def _by_id(self) -> dict[str, Step]:
        return {step.id: step for step in self.steps}
