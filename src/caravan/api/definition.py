"""What calls about journeys have in common: the journey's number in the path, and a definition as the body."""

from typing import Any

from fastapi import Path, Request

from caravan.api.calls import read_body
from caravan.errors import InvalidInput

JourneyId = Path(gt=0, lt=2**63, description="The journey's number, the `entityId` of the batch starter.")
#: A call's body, for its description.
DEFINITION: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/yaml": {"schema": {"type": "string"}}, "application/json": {"schema": {}}},
    }
}


async def read_source(request: Request) -> str:
    """The text of a definition. Raises `InvalidInput` if it is not UTF-8."""
    body = await read_body(request)
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise InvalidInput("The definition is not UTF-8.") from None
