"""The signed upload URL: good for 12 hours, bound to its batch, needs no token."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from itsdangerous import BadData

from caravan.api.access import AnEngine
from caravan.api.acts import record_upload
from caravan.api.answers import Uploaded
from caravan.api.signing import Signer
from caravan.api.spool import spooled, too_large
from caravan.engine import direct
from caravan.engine.engine import Engine
from caravan.engine.receiving import receiving
from caravan.engine.start import Received, receive, refuse_upload
from caravan.errors import Forbidden, Gone, InvalidInput, TooSlow, UnsupportedType
from caravan.intake.expand import Encoding
from caravan.intake.pace import StoodStill, paced
from caravan.settings import Settings
from caravan.store import batches
from caravan.store.batches import Batch, Source
from caravan.store.customers import shared_secret
from caravan.store.database import Connection, single

router = APIRouter(tags=["batch starter"])

_STRETCH = 5  # times the silence that is allowed; so long a PUT may come too slowly
_ENCODINGS = {
    "": None,
    "identity": None,
    "gzip": Encoding.GZIP,
    "x-gzip": Encoding.GZIP,
    "zstd": Encoding.ZSTD,
}

# What says that a body is a part of a file: RFC 9110 §14.4; resumable uploads, as tus and the IETF have them.
_PARTIAL = frozenset({"content-range", "upload-offset", "upload-complete"})


async def signer_of(request: Request) -> Signer:
    """What signs the upload URLs. Its keys never change, so it is made once in each process."""
    state = request.app.state
    if state.signer is None:
        engine: Engine = state.engine
        async with engine.pool.connection() as connection:
            keys = engine.settings.secret_keys or [await shared_secret(connection, "upload")]
        state.signer = Signer(keys, "upload")
    signer: Signer = state.signer
    return signer


async def upload_url(request: Request, signer: Signer, batch: Batch) -> str:
    """The URL to PUT the batch's file to: the store's own, or one of ours."""
    engine: Engine = request.app.state.engine
    if batch.source == Source.DIRECT:
        return await direct.upload_url(engine, batch.id)
    assert batch.expires_at is not None
    base = engine.settings.public_url or str(request.base_url)
    token = signer.sign([batch.id, int(batch.expires_at.timestamp())])
    return f"{base.rstrip('/')}/uploads/{token}"


@router.put(
    "/uploads/{token}",
    response_model=Uploaded,
    openapi_extra={"requestBody": {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def upload(token: str, request: Request, engine: AnEngine) -> JSONResponse:
    """Take the file of contacts: UTF-8 `text/plain`, one JSON object a line; gzip or zstd if it says so."""
    batch = await _batch_of(engine, await signer_of(request), token)
    encoding = _check_headers(request, engine.settings)

    async def note(connection: Connection, received: Received) -> None:
        await record_upload(request, connection, batch, {"bytes": received.bytes, "sha256": received.sha256})

    received = await take(engine, batch.id, whole_body(request, engine.settings), encoding, note)
    return JSONResponse({"batchId": batch.id, "bytes": received.bytes, "sha256": received.sha256})


async def take(
    engine: Engine,
    batch: str,
    content: AsyncIterator[bytes],
    encoding: Encoding | None,
    note: Callable[[Connection, Received], Awaitable[None]],
) -> Received:
    """Take a batch's file as it comes, never holding more than a piece of it, and start the batch, with a `note` in the
    same transaction. Raises what `receive` does, and `TooLarge`."""
    async with receiving(engine, batch), spooled(engine, batch, content, "file") as file:
        received = Received(file.path, file.bytes, file.sha256, encoding)
        await receive(engine, batch, received, lambda connection: note(connection, received))
    return received


async def _batch_of(engine: Engine, signer: Signer, token: str) -> Batch:
    """The batch that the token was signed for. Raises `Forbidden`, `Gone`, `Conflict`."""
    try:
        batch_id, expires = signer.read(token)
    except BadData:
        raise Forbidden("The signature of this uploadUrl is wrong; use the URL exactly as it was given.") from None
    async with single(engine.pool) as connection:
        batch = await batches.get(connection, batch_id)
    if engine.clock.now() >= datetime.fromtimestamp(expires, UTC):
        raise Gone("This uploadUrl has expired; POST to batchtrigger/v2 for a new one.")
    refuse_upload(engine, batch)
    return batch


def _check_headers(request: Request, settings: Settings) -> Encoding | None:
    """How the body is compressed. Raises `InvalidInput`, `UnsupportedType` or `TooLarge` for what can't be taken."""
    _refuse_part(request)
    kind, _, parameters = _header(request, "content-type").partition(";")
    charset = parameters.partition("charset=")[2].strip(' "') or "utf-8"
    if kind.strip() != "text/plain" or charset not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedType("Send the file with Content-Type: text/plain, as UTF-8.")
    encoding = _header(request, "content-encoding")
    if encoding not in _ENCODINGS:
        raise UnsupportedType(f"Content-Encoding {encoding!r} is not known; use gzip, zstd or none.")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > settings.max_file_bytes:
        raise too_large("file", settings.max_file_bytes)
    return _ENCODINGS[encoding]


def _refuse_part(request: Request) -> None:
    """Raise `InvalidInput` for what announces a part of a file (RFC 9110 §14.5): the batch would lack the others."""
    for name in _PARTIAL & set(request.headers.keys()):
        if (name, _header(request, name)) != ("upload-complete", "?1"):
            raise InvalidInput(f"{name.title()} announces a part of a file; PUT the whole file in one request.")
    if "content-length" not in request.headers and "transfer-encoding" not in request.headers:
        raise InvalidInput("The PUT announces no body; send the file, with Content-Length or in chunks.")


def _header(request: Request, name: str) -> str:
    """A header in lower case; several of the name are a list (RFC 9110 §5.3)."""
    return ", ".join(request.headers.getlist(name)).strip().lower()


async def whole_body(request: Request, settings: Settings) -> AsyncIterator[bytes]:
    """The body as it comes. Raises `TooSlow` where a client may have vanished, which nothing else would tell."""
    silence = settings.upload_timeout
    try:
        async for chunk in paced(request.stream(), silence, _STRETCH * silence):
            yield chunk
    except StoodStill as trouble:
        raise TooSlow(f"The upload was given up because {trouble}; PUT the whole file again.") from None
