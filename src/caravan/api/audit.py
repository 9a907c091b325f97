"""The audit log: who did what to what, when and from where."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from caravan.access.audit import ActorKind
from caravan.access.audit_export import export, read_filter
from caravan.api.access import ACustomer, AnEngine
from caravan.api.answers import Answer
from caravan.api.streams import begun, ndjson_of
from caravan.lists import Form

router = APIRouter(tags=["audit"])


class AuditLine(Answer):
    """One act."""

    at: datetime
    kind: ActorKind
    who: str
    name: str | None
    address: str | None
    customer: int | None
    act: str
    subject: str
    detail: dict[str, Any] | None


@router.get("/audit", response_class=StreamingResponse, responses=ndjson_of(AuditLine))
async def list_audit(
    customer: ACustomer,
    engine: AnEngine,
    who: Annotated[str | None, Query(description="A user's address, a token's id or a machine's user.")] = None,
    act: str | None = None,
    since: Annotated[str | None, Query(alias="from", description="A day or a moment, ISO 8601.")] = None,
    until: Annotated[str | None, Query(alias="to", description="A day or a moment, ISO 8601.")] = None,
) -> StreamingResponse:
    """Every act on the customer, the newest first, one JSON object a line."""
    wanted = read_filter(who, act, since, until)
    return await begun(export(engine.pool, customer, wanted, Form.NDJSON), Form.NDJSON.media)
