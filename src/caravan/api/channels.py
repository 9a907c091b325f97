"""Channels: how fast each may send, told and changed while it sends."""

from datetime import date
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from caravan.access import audit
from caravan.api.access import ACustomer, AnEngine, actor_of
from caravan.api.calls import read_body, read_object
from caravan.api.channel_answers import ChannelAnswer
from caravan.api.spelling import check_members
from caravan.delivery.cap import period_words
from caravan.engine.engine import Engine
from caravan.engine.paces import ramp_from_today, set_limits, subject_of
from caravan.errors import InvalidInput
from caravan.queries.channels import ChannelPace, ChannelReport, channel_reports
from caravan.store.breakers import Breaker
from caravan.store.caps import Cap
from caravan.store.paces import Limits, Ramp
from caravan.store.relays import NamedRelay

router = APIRouter(tags=["channels"])


class RampGiven(BaseModel):
    """A warm-up as a caller gives it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    first: int = Field(description="Deliveries on its first day.")
    factor: float = Field(2.0, description="Each day so many times those of the day before.")
    begins: date | None = Field(None, strict=False, description="Its first day, in UTC; today by default.")


class PaceGiven(BaseModel):
    """A pace as a caller gives it."""

    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=to_camel)

    per_second: float | None = Field(None, description="Deliveries a second.")
    per_day: int | None = Field(None, description="Deliveries a day (UTC).")
    ramp: RampGiven | None = None


_PACE = {"requestBody": {"required": True, "content": {"application/json": {"schema": PaceGiven.model_json_schema()}}}}


@router.get("/channels", response_model=list[ChannelAnswer])
async def list_channels(customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """The channels, each with the paces that bind this customer."""
    return await told(engine, customer)


@router.put("/channels/{channel}/rate", response_model=list[ChannelAnswer], openapi_extra=_PACE)
async def set_rate(request: Request, channel: str, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Set how fast the channel may send for this customer. It holds within a second, also for what is being sent."""
    given = _read(await read_body(request))
    await _set(request, engine, customer, channel, _limits(engine, given), _detail(given))
    return await told(engine, customer)


@router.delete("/channels/{channel}/rate", response_model=list[ChannelAnswer])
async def end_rate(request: Request, channel: str, customer: ACustomer, engine: AnEngine) -> JSONResponse:
    """Let the channel send as fast as it can for this customer."""
    await _set(request, engine, customer, channel, None, None)
    return await told(engine, customer)


@router.put("/channels/{channel}/providers/{provider}/rate", response_model=list[ChannelAnswer], openapi_extra=_PACE)
async def set_provider_rate(
    request: Request, channel: str, provider: str, customer: ACustomer, engine: AnEngine, relay: str | None = None
) -> JSONResponse:
    """Set how fast mails of this customer may go to a mailbox provider; with `relay`, only those by that relay."""
    given = _read(await read_body(request))
    await _set(request, engine, customer, channel, _limits(engine, given), _detail(given), relay, provider)
    return await told(engine, customer)


@router.delete("/channels/{channel}/providers/{provider}/rate", response_model=list[ChannelAnswer])
async def end_provider_rate(
    request: Request, channel: str, provider: str, customer: ACustomer, engine: AnEngine, relay: str | None = None
) -> JSONResponse:
    """End a pace by provider."""
    await _set(request, engine, customer, channel, None, None, relay, provider)
    return await told(engine, customer)


@router.put("/channels/{channel}/relays/{relay}/rate", response_model=list[ChannelAnswer], openapi_extra=_PACE)
async def set_relay_rate(
    request: Request, channel: str, relay: str, customer: ACustomer, engine: AnEngine
) -> JSONResponse:
    """Set how fast mails of this customer may go by a relay; `default` is that of CARAVAN_SMTP_URL."""
    given = _read(await read_body(request))
    await _set(request, engine, customer, channel, _limits(engine, given), _detail(given), relay)
    return await told(engine, customer)


@router.delete("/channels/{channel}/relays/{relay}/rate", response_model=list[ChannelAnswer])
async def end_relay_rate(
    request: Request, channel: str, relay: str, customer: ACustomer, engine: AnEngine
) -> JSONResponse:
    """End a pace by relay."""
    await _set(request, engine, customer, channel, None, None, relay)
    return await told(engine, customer)


def _detail(given: PaceGiven) -> dict[str, Any]:
    return given.model_dump(mode="json", exclude_none=True, by_alias=True)


async def _set(
    request: Request,
    engine: Engine,
    customer: int,
    channel: str,
    limits: Limits | None,
    detail: dict[str, Any] | None,
    relay: str | None = None,
    provider: str | None = None,
) -> None:
    about = subject_of(channel, relay, provider)
    async with engine.pool.connection() as connection, connection.transaction():
        await set_limits(engine, connection, customer, channel, limits, relay=relay, provider=provider)
        await audit.record(connection, actor_of(request), "rate", about, detail)


def _read(body: bytes) -> PaceGiven:
    content = read_object(body)
    check_members(content, PaceGiven, closed=True)
    try:
        return PaceGiven.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from None


def _limits(engine: Engine, given: PaceGiven) -> Limits:
    ramp = None
    if given.ramp is not None:
        ramp = ramp_from_today(engine, given.ramp.first, given.ramp.factor)
        ramp = ramp if given.ramp.begins is None else Ramp(given.ramp.begins, ramp.first, ramp.factor)
    return Limits(given.per_second, given.per_day, ramp)


async def told(engine: Engine, customer: int) -> JSONResponse:
    """The channels as `list_channels` answers."""
    async with engine.pool.connection() as connection:
        found = await channel_reports(engine, connection, customer)
    return JSONResponse(list(map(channel_answer, found)))


def channel_answer(report: ChannelReport) -> dict[str, Any]:
    """A channel as JSON."""
    return {
        "channel": report.channel,
        "paces": list(map(_pace, report.paces)),
        "cap": report.cap and _cap(report.cap),
        "standing": report.standing,
        "routes": [_route(each, report) for each in report.routes],
        "breakers": list(map(_breaker, report.breakers)),
        "relays": list(map(_relay, report.relays)),
    }


def _route(found: ChannelPace, report: ChannelReport) -> dict[str, Any]:
    pace = found.pace
    return {
        **_pace(found),
        "relay": pace.relay,
        "provider": pace.provider,
        "kind": pace.kind,
        "connections": pace.connections,
        "until": pace.until and pace.until.isoformat(),
        "reason": pace.reason,
        "standing": None if pace.provider is None else report.standing_of.get(pace.provider, 0),
    }


def _breaker(found: Breaker) -> dict[str, Any]:
    return {
        "relay": found.relay,
        "provider": found.provider or None,
        "state": found.state,
        "reason": found.reason,
        "since": found.changed_at.isoformat(),
        "triedAt": found.probe_at and found.probe_at.isoformat(),
        "connections": found.connections,
    }


def _relay(found: NamedRelay) -> dict[str, Any]:
    return {
        "name": found.name,
        "allCustomers": found.customer is None,
        "weight": found.weight,
        "fallback": found.fallback,
    }


def _cap(cap: Cap) -> dict[str, Any]:
    return {"most": cap.most, "period": period_words(cap.period), "otherwise": "wait" if cap.waits else "skip"}


def _pace(found: ChannelPace) -> dict[str, Any]:
    limits = found.pace.limits
    ramp = limits.ramp
    return {
        "allCustomers": found.pace.customer is None,
        "perSecond": limits.per_second,
        "perDay": limits.per_day,
        "ramp": ramp and {"begins": ramp.begins.isoformat(), "first": ramp.first, "factor": ramp.factor},
        "sentToday": found.sent_today,
        "mostToday": found.most_today,
    }
