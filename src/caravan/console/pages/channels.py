"""A customer's channels, live: how fast each sends, who stands for it, and what the other side says. Owners set the
pace."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, fields
from http import HTTPStatus

from starlette.responses import Response

from caravan.access import audit
from caravan.access.users import Role
from caravan.channels.providers import OTHER, read_providers
from caravan.channels.relay import Relay
from caravan.channels.sms.open import gateway_of
from caravan.console.pace_form import PaceForm
from caravan.console.page import Fragments, Page
from caravan.console.rendering import macro
from caravan.console.visit import HOME, Visit, see_other
from caravan.engine import paces
from caravan.errors import InvalidInput, InvalidSetting
from caravan.queries.channels import ChannelReport, channel_reports
from caravan.queries.replies import ChannelState, channel_states
from caravan.store.journal import AGAIN, LATER
from caravan.store.paces import Pace

_TEMPLATE = "channels_parts.html"
_PROVIDER = "provider"  # the form of a provider, among those of channels
_WORDS = {AGAIN: "tried again later", LATER: "stands"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where messages go: `relay` and `gateway` name it to those who may know; None for the sandbox."""

    is_sandbox: bool
    relay: str | None
    gateway: str | None


@dataclass(frozen=True, slots=True)
class _Wrong:
    """A form that can't be taken as it is filled in: that of a channel, or of a provider."""

    form: str
    problem: str
    filled: PaceForm
    provider: str | None = None


async def show(visit: Visit) -> Response:
    """The channels, and to owners the forms for their paces."""
    return _page(visit, await channel_states(visit.engine, visit.customer))


async def live(visit: Visit) -> AsyncIterator[Fragments]:
    """Each channel, without an end."""
    return _follow(visit.watches.follow_channels(visit.customer), visit.customer, _place(visit))


async def submit(visit: Visit) -> Response:
    """Set or end a pace of this customer, with a line of the audit log in the transaction that does."""
    form = await visit.form()
    channel, provider = form.get("channel", ""), form.get("provider")
    filled = PaceForm(**{each.name: form.get(each.name, "").strip() for each in fields(PaceForm)})
    actor = audit.Actor(audit.ActorKind.USER, visit.known.email, visit.customer, visit.address)
    try:
        async with visit.engine.pool.connection() as connection, connection.transaction():
            limits = None
            if form.get("act") != "end":
                reports = await channel_reports(visit.engine, connection, visit.customer)
                limits = filled.limits(visit.engine, None if provider else _own(reports, channel))
            await paces.set_limits(visit.engine, connection, visit.customer, channel, limits, provider=provider)
            detail = None if limits is None else paces.detail_of(limits)
            await audit.record(connection, actor, "rate", paces.subject_of(channel, None, provider), detail)
    except InvalidInput as error:
        states = await channel_states(visit.engine, visit.customer)
        wrong = channel if provider is None else _PROVIDER
        chosen = _Wrong(wrong, error.message, filled, provider)
        return _page(visit, states, HTTPStatus.BAD_REQUEST, chosen)
    return see_other(f"{HOME}/{visit.customer}/channels")


def _own(reports: list[ChannelReport], channel: str) -> Pace | None:
    """The pace that the customer itself has for a channel."""
    found = [each.pace for report in reports if report.channel == channel for each in report.paces]
    return next((each for each in found if each.customer is not None), None)


def _page(
    visit: Visit, states: list[ChannelState], status: int = HTTPStatus.OK, wrong: _Wrong | None = None
) -> Response:
    reports = [each.report for each in states]
    own = {each.channel: _own(reports, each.channel) for each in reports}
    forms = {channel: PaceForm.of(pace) for channel, pace in own.items()}
    if wrong is not None and wrong.form in forms:
        forms[wrong.form] = wrong.filled
    return visit.page(
        "channels.html",
        status,
        parts=_fragments(states, visit.customer, _place(visit)),
        path=f"{HOME}/{visit.customer}/channels",
        forms=forms if visit.role.allows(Role.OWNER) else {},
        own=own,
        wrong=wrong and wrong.form,
        problem=wrong and wrong.problem,
        providers=[*(each.name for each in read_providers(visit.engine.settings.providers)), OTHER],
        provider=wrong and wrong.provider,
        provider_fields=wrong.filled if wrong is not None and wrong.form == _PROVIDER else PaceForm(),
    )


async def _follow(followed: AsyncIterator[list[ChannelState]], customer: int, place: Place) -> AsyncIterator[Fragments]:
    async for states in followed:
        yield _fragments(states, customer, place)


def _fragments(states: list[ChannelState], customer: int, place: Place) -> dict[str, str]:
    return {f"channel-{each.channel}": macro(_TEMPLATE, "channel", each, customer, place, _WORDS) for each in states}


def _place(visit: Visit) -> Place:
    """The relay is named to operators only: it is the installation's, not the customer's."""
    settings = visit.engine.settings
    url, gateway = settings.smtp_url, None if settings.sms_url is None else "The SMS gateway"
    if not visit.known.is_operator:
        return Place(url is None, None, gateway)
    with suppress(InvalidSetting):
        if (found := gateway_of(settings)) is not None:
            gateway = f"The SMS gateway ({found.place})"
    if url is None:
        return Place(True, None, gateway)
    relay = Relay.of(url)
    return Place(False, f"{relay.host}:{relay.port}", gateway)


PAGE = Page(
    "/{customer:int}/channels",
    show,
    submit,
    submit_needs=Role.OWNER,
    live=live,
    menu="Channels",
    menu_place=50,
)
