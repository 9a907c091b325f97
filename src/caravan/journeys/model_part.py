"""What all pieces of a journey file have in common."""

from pydantic import BaseModel, ConfigDict


class DefinitionPart(BaseModel):
    """A piece of a definition. Unknown keys are problems."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
