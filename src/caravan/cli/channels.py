"""`channels`: how fast each may send, and whether what they stand on is well."""

import json
import re
from typing import TYPE_CHECKING, Annotated

import typer

from caravan.cli import caps
from caravan.cli.channel_checks import check, providers, test
from caravan.cli.relays import relay_commands
from caravan.cli.session import Data, record, with_engine
from caravan.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caravan.engine.engine import Engine
    from caravan.queries.channels import ChannelPace, ChannelReport

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Customer = Annotated[
    int | None, typer.Option(help="The customer's number.", show_default="all customers of this installation together")
]
_UNITS = {"s": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
_RATE = re.compile(r"(\d[\d_]*(?:\.\d+)?)/([a-z]+)")
_DAY = ("d", "day")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    room = typer.Typer(help="Channels, and how fast and how often each may send.", no_args_is_help=True)
    room.command("list")(list_)
    room.command("rate")(rate)
    room.command("cap")(caps.cap)
    room.command("check")(check)
    room.command("test")(test)
    room.command("providers")(providers)
    room.add_typer(relay_commands(), name="relay")
    app.add_typer(room, name="channels")


def list_(customer: Customer = None, data: Data = None, as_json: Json = False) -> None:
    """List the channels, each with its paces and what is used of them today.

    Example: caravan channels list --customer 1001
    """
    from caravan.queries.channels import channel_reports

    async def work(engine: "Engine") -> "list[ChannelReport]":
        async with engine.pool.connection() as connection:
            return await channel_reports(engine, connection, customer)

    from caravan.api.channels import channel_answer

    for each in with_engine(read_settings(data=data), work):
        lines = [json.dumps(channel_answer(each), ensure_ascii=False)] if as_json else _lines(each)
        for line in lines:
            typer.echo(line)


def _lines(report: "ChannelReport") -> "Iterator[str]":
    """A channel for people: its paces, those of relays and providers, its breakers and its relays."""
    channel = report.channel
    if not report.paces:
        yield f"{channel}  as fast as it can"
    if report.cap is not None:
        from caravan.delivery.cap import cap_words

        others = "others wait" if report.cap.waits else "others are left out"
        yield f"{channel}  a recipient gets {cap_words(report.cap)}, {others}"
    for found in report.paces:
        yield f"{channel}  {_whose(found)}  {_words(found)}  standing: {report.standing:,}"
    for found in report.routes:
        standing = report.standing_of.get(found.pace.provider or "", 0)
        yield f"{channel}  {found.pace.name}  {_whose(found)}  {_words(found)}  standing: {standing:,}"
    for breaker in report.breakers:
        tried = f"; tried at {breaker.probe_at:%Y-%m-%d %H:%M:%S} UTC" if breaker.probe_at else ""
        yield f"{channel}  {breaker.name}  {breaker.state.replace('_', ' ')}: {breaker.reason or 'it is tried'}{tried}"
    for named in report.relays:
        whose = "all customers" if named.customer is None else f"customer {named.customer}"
        yield f"{channel}  relay {named.name}  {whose}  weight: {named.weight}  fallback: {named.fallback or 'none'}"


def _whose(found: "ChannelPace") -> str:
    return "all customers" if found.pace.customer is None else f"customer {found.pace.customer}"


def _words(found: "ChannelPace") -> str:
    limits = found.pace.limits
    words = [] if limits.per_second is None else [f"{limits.per_second:,g}/s"]
    if found.pace.connections is not None:
        words.append(f"{found.pace.connections} connections at one time")
    if found.pace.until is not None:
        words.append(f"until {found.pace.until:%Y-%m-%d %H:%M} UTC")
    words += [] if limits.per_day is None else [f"{limits.per_day:,}/day"]
    if limits.ramp is not None:
        words.append(f"warm-up from {limits.ramp.first:,}/day on {limits.ramp.begins}, × {limits.ramp.factor:g} a day")
    used = f"{found.sent_today:,}" + ("" if found.most_today is None else f" of {found.most_today:,}")
    return f"{', '.join(words)}  today: {used}"


def rate(
    channel: Annotated[str, typer.Argument(help="The channel: email, webhook …")],
    limits: Annotated[list[str], typer.Argument(help="200/s, 5000/min, 100000/day, one or both kinds; or off.")],
    customer: Customer = None,
    warm_up: Annotated[
        str | None,
        typer.Option(help="FIRST or FIRSTxFACTOR: so many today, each day so many times more; until the day's limit."),
    ] = None,
    provider: Annotated[str | None, typer.Option(help="Only mails to this mailbox provider, like gmail.")] = None,
    by: Annotated[str | None, typer.Option("--relay", help="Only mails by this relay.")] = None,
    data: Data = None,
) -> None:
    """Set how fast a channel may send. It holds within a second, also for what is being sent.

    Example: caravan channels rate email 200/s 500000/day --customer 1001
    """
    from caravan.engine.paces import detail_of, ramp_from_today, set_limits, subject_of
    from caravan.store.paces import Limits

    per_second, per_day = read_limits(limits)
    ramp = None if warm_up is None else _read_ramp(warm_up)
    is_off = limits == ["off"]

    async def work(engine: "Engine") -> None:
        wanted = Limits(per_second, per_day, ramp and ramp_from_today(engine, *ramp))
        async with engine.pool.connection() as connection, connection.transaction():
            chosen = None if is_off else wanted
            await set_limits(engine, connection, customer, channel, chosen, relay=by, provider=provider)
            about = subject_of(channel, by, provider)
            await record(connection, customer, "rate", about, None if chosen is None else detail_of(chosen))

    with_engine(read_settings(data=data), work)


def read_limits(words: list[str]) -> tuple[float | None, int | None]:
    """A rate a second and a number a day, from words like 200/s and 100000/day. Raises `BadParameter`."""
    per_second, per_day = None, None
    for word in [] if words == ["off"] else words:
        found = _RATE.fullmatch(word)
        if found is None or found[2] not in (*_UNITS, *_DAY):
            raise typer.BadParameter(f"{word!r} is no pace; write one like 200/s, 5000/min, 100000/day, or off.")
        if found[2] in _DAY:
            per_day = int(float(found[1]))
        else:
            per_second = float(found[1]) / _UNITS[found[2]]
    return per_second, per_day


def _read_ramp(text: str) -> tuple[int, float]:
    first, _, factor = text.partition("x")
    try:
        return int(first), float(factor or 2)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no warm-up; write one like 1000x1.5.") from None
