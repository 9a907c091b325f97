"""Where the links of a sent message lead, by the key in their URL: from memory, once a batch has been asked for."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from caravan.channels.email_step import Email
from caravan.channels.links import is_web
from caravan.delivery.key import DeliveryKey, read_key
from caravan.delivery.signing import SECRET
from caravan.delivery.tracked_url import LinkVisited, read_link
from caravan.engine.engine import Engine
from caravan.errors import NotFound
from caravan.store import batches
from caravan.store.customers import signing_secrets

_KEPT: Final = 4_096  # steps of batches in memory; what is known of one never changes
_FRESH: Final = 30.0  # seconds for which the secrets are


@dataclass(frozen=True, slots=True)
class Sent:
    """A step of a batch that has sent messages; `links` are the URLs behind its links, by their names."""

    customer: int
    step: str
    links: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Followed:
    """A link of a message, and where it leads."""

    key: DeliveryKey
    sent: Sent
    link: LinkVisited
    url: str


class Tracked:
    """Reads back the URLs of one installation."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known = OrderedDict[tuple[str, int], Sent]()
        self._secrets: tuple[float, list[bytes]] = (0.0, [])

    async def opened(self, text: str) -> tuple[DeliveryKey, Sent]:
        """The message whose key this is. Raises `NotFound` for what is none of this installation."""
        key = read_key(text, await self._signing())
        if key is None:
            raise NotFound("This is no key of a delivery.")
        return key, await self._sent(key)

    async def followed(self, text: str, rest: str) -> Followed:
        """The link whose URL has this key, and this behind it. Raises `NotFound` unless it was made here."""
        secrets = await self._signing()
        key, link = read_key(text, secrets), read_link(text.lower(), rest, secrets)
        if key is None or link is None:
            raise NotFound("This is no link of a message.")
        sent = await self._sent(key)
        url = link.target if link.target is not None else sent.links.get(link.link)
        if url is None or not is_web(url):
            raise NotFound("This message has no such link.")
        return Followed(key, sent, link, url)

    async def _sent(self, key: DeliveryKey) -> Sent:
        known = self._known.get((key.batch, key.step))
        if known is None:
            known = await self._find(key)
            self._known[key.batch, key.step] = known
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return known

    async def _find(self, key: DeliveryKey) -> Sent:
        async with self._engine.pool.connection() as connection:
            batch = await batches.get(connection, key.batch)
            if batch.version is None:
                raise NotFound("This batch has sent nothing.")
            journey = await self._engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
        step = journey.steps[key.step] if key.step < len(journey.steps) else None
        if not isinstance(step, Email) or not step.track:
            raise NotFound("This step tracks nothing.")
        texts = await asyncio.to_thread(lambda: step.tracked_texts)
        return Sent(batch.customer_id, step.id, {} if texts.links is None else dict(texts.links.targets))

    async def _signing(self) -> list[bytes]:
        read_at, secrets = self._secrets
        now = time.monotonic()
        if not secrets or now - read_at >= _FRESH:
            async with self._engine.pool.connection() as connection:
                secrets = [each.value.encode() for each in await signing_secrets(connection, SECRET)]
            self._secrets = (now, secrets)
        return secrets
