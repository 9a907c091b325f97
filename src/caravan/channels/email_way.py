"""By which relay a cohort's mails go, and to which providers."""

import asyncio
from functools import partial
from typing import Any

import pyarrow as pa

from caravan.channels.choice import choose, key_of
from caravan.channels.mx import Directory
from caravan.channels.relays import Relays
from caravan.delivery.tools import DeliveryTools
from caravan.delivery.way import Way
from caravan.errors import RenderFailed
from caravan.journeys.placeholders import ContactView, Template
from caravan.store import relays
from caravan.store.cohorts import Cohort


async def way_of(cohort: Cohort, tools: DeliveryTools, wanted: str | None, to: Template) -> Way:
    """The way of mails whose step wants this relay, or any, and whose recipients are what `to` says. Raises
    `InvalidSetting`."""
    channel = tools.channels["email"]
    if not isinstance(channel, Relays):  # one of a test
        return Way(channel)
    async with tools.pool.connection() as connection:
        known = await relays.of_customer(connection, cohort.customer)
    chosen = await choose(known, wanted, cohort.id, partial(tools.pacer.is_stopped, "email"))
    relay = None if chosen is None and channel.is_sandbox else key_of(chosen)
    return Way(channel.via(chosen), relay, partial(_providers_of, channel.directory, to))


async def _providers_of(directory: Directory, to: Template, contacts: pa.Table) -> list[str]:
    """The provider of each contact's recipient; of one who has none, whichever."""
    return await directory.of(await asyncio.to_thread(_recipients, to, contacts))


def _recipients(to: Template, contacts: pa.Table) -> list[str]:
    return [_recipient(to, person) for person in contacts.select(["id", "properties"]).to_pylist()]


def _recipient(to: Template, person: dict[str, Any]) -> str:
    try:
        return to.render(ContactView.read(person["id"], person["properties"]))
    except RenderFailed:
        return ""
