"""The batch starter: the wire protocol's `POST batchtrigger/v2`."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caravan.addresses import check_url
from caravan.api.access import ACustomer, AnEngine
from caravan.api.answers import Triggered
from caravan.api.calls import faults, once, read_body, read_object
from caravan.api.spelling import check_members
from caravan.api.uploads import signer_of, upload_url
from caravan.engine.start import open_download, open_upload
from caravan.errors import InvalidInput
from caravan.store.database import Connection
from caravan.store.idempotency import Answer

router = APIRouter(tags=["batch starter"])


class Options(BaseModel):
    """How the batch is to be run. They are ours, so one that is not known is refused."""

    model_config = ConfigDict(strict=True, extra="forbid")

    freeze_waits: bool = Field(
        False, alias="freezeWaits", description="While the batch is paused, time stands still for those who wait."
    )
    hold: bool = Field(
        False, description="Read the file whole, then let no contact move until POST batches/{id}/resume."
    )
    expires: str | None = Field(
        None,
        description="Nothing of the batch is sent from then on: a moment like 2026-12-01T00:00:00Z, or a duration from "
        "this call on, like 2 days.",
    )


class Trigger(BaseModel):
    """Enter the contacts of a file into the journey `entityId`."""

    model_config = ConfigDict(strict=True, extra="ignore")

    entity_id: int = Field(alias="entityId", gt=0, lt=2**63, description="The journey's number.")
    download_url: str | None = Field(
        None,
        alias="downloadUrl",
        description="Where to fetch the file; without it the answer is an uploadUrl.",
    )
    type: str = Field("JOURNEY_COMMENCE", pattern="^JOURNEY_COMMENCE$")
    options: Options = Field(default_factory=lambda: Options(freezeWaits=False, hold=False, expires=None))


_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": Trigger.model_json_schema()}},
    }
}


@router.post("/batchtrigger/v2", response_model=Triggered, response_model_exclude_none=True, openapi_extra=_BODY)
async def trigger(request: Request, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Start a batch: get a signed `uploadUrl` (12 hours) for the file, or name a `downloadUrl`."""
    body, signer = await read_body(request), await signer_of(request)
    detail: dict[str, object] = {}

    async def start(connection: Connection) -> Answer:
        call = _read(body)
        options = call.options
        how: dict[str, Any] = {"hold": options.hold, "freeze_waits": options.freeze_waits, "expires": options.expires}
        detail.update(journey=call.entity_id, hold=options.hold)
        if options.expires is not None:
            detail.update(expires=options.expires)
        if call.download_url is not None:
            check_url(call.download_url, allow_private=True)  # whether it may be dialled shows when it is
            batch = await open_download(engine, connection, customer, call.entity_id, call.download_url, **how)
            return Answer(200, {"batchId": batch.id})
        batch = await open_upload(engine, connection, customer, call.entity_id, **how)
        assert batch.expires_at is not None
        url = await upload_url(request, signer, batch)
        return Answer(200, {"uploadUrl": url, "batchId": batch.id, "expiresAt": batch.expires_at.isoformat()})

    return await once(request, engine, customer, body, start, detail)


def _read(body: bytes) -> Trigger:
    content = read_object(body)
    check_members(content, Trigger)
    if isinstance(options := content.get("options"), dict):
        check_members(options, Options, closed=True)
    try:
        return Trigger.model_validate(content)
    except ValidationError as error:
        raise InvalidInput(
            f'The body can\'t be used: {faults(error)}. Send an object like {{"entityId": 4711}}, '
            'with "downloadUrl": "https://…" if the file is to be fetched.'
        ) from None
