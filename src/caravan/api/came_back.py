"""What came back to the messages of a batch."""

from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from caravan.api.access import ACustomer, AnEngine
from caravan.queries.came_back import came_back_by_verdict
from caravan.store import batches

router = APIRouter(tags=["batches"])


class CameBackAnswer(BaseModel):
    """So many events of one name answered the messages of a step."""

    step: str
    event: str = Field(description="opened, clicked, bounced, complained, …")
    events: int
    verdicts: dict[str, int] = Field(
        description="Of opened and clicked: how many by human, machine and unknown; of bounced: how many hard and soft."
    )


@router.get("/batches/{batchid}/came-back", response_model=list[CameBackAnswer])
async def list_came_back(batchid: str, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """What came back to the messages of a batch, counted by step and event."""
    async with engine.pool.connection() as connection:
        batch = await batches.of_customer(connection, customer, batchid)
        found = await came_back_by_verdict(connection, batch.id)
    return JSONResponse([asdict(each) for each in found])
