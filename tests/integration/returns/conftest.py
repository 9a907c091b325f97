"""A system that has sent mails with return addresses, and a receiver of what comes back."""

import asyncio
import re
import smtplib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from caravan.channels.sandbox import Received, Sandbox
from caravan.returns.receiver import receiving
from caravan.settings import Settings
from tests.integration.conftest import System, open_house, working
from tests.integration.journeys_for_tests import MAIL, contacts

DOMAIN = "bounces.example.com"
_CLIENTS = ThreadPoolExecutor(16)  # not the loop's own, which the receiver needs


@dataclass(slots=True)
class Sent:
    """A batch that was sent, its mails by their recipients, and where bounces are taken."""

    system: System
    batch: str
    mails: list[Received]
    port: int
    lmtp: bool = False

    def key(self, number: int = 0) -> str:
        """The delivery key of a mail."""
        return self.mails[number].sender.partition("@")[0].removeprefix("bounce-")

    async def deliver(
        self, raw: bytes, *to: str, sender: str = "<>", options: tuple[str, ...] = ()
    ) -> tuple[int, bytes]:
        """Bring a mail to the receiver over a connection of its own; its last reply."""
        recipients = to or (self.mails[0].sender,)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_CLIENTS, self._deliver, raw, recipients, sender, options)

    def _deliver(self, raw: bytes, to: tuple[str, ...], sender: str, options: tuple[str, ...]) -> tuple[int, bytes]:
        with (smtplib.LMTP if self.lmtp else smtplib.SMTP)("127.0.0.1", self.port, timeout=60) as client:
            client.ehlo_or_helo_if_needed()
            code, text = client.mail(sender, options)
            for each in to:
                if code == 250:
                    code, text = client.rcpt(each)
            return client.data(re.sub(rb"\r?\n", b"\r\n", raw)) if code == 250 else (code, text)

    async def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """What the database says."""
        async with self.system.engine.pool.connection() as connection:
            return await (await connection.execute(query, values)).fetchall()  # type: ignore[arg-type]

    async def stops(self) -> list[tuple[str, str, str]]:
        """The customer's suppressions: address, reason, source."""
        found = await self.rows(
            "select address, reason, source from suppressions where customer_id = %s order by id", self.system.customer
        )
        return [(each["address"], each["reason"], each["source"]) for each in found]

    async def counts(self) -> dict[str, int]:
        """What came back to the batch, by the names of events."""
        found = await self.rows("select event, events from batch_events where batch_id = %s", self.batch)
        return {each["event"]: each["events"] for each in found}

    async def untouched(self) -> bool:
        """Whether nothing has come back at all."""
        returns = await self.rows("select from returns where batch_id = %s", self.batch)
        return not returns and not await self.stops() and not await self.counts()


@pytest.fixture
def bounce_settings(settings: Settings, sandbox: Sandbox) -> Settings:
    update = {"smtp_url": sandbox.url, "bounce_domain": DOMAIN, "bounce_url": "smtp://127.0.0.1:0"}
    return settings.model_copy(update=update)


@pytest.fixture
async def sent(bounce_settings: Settings, sandbox: Sandbox) -> AsyncIterator[Sent]:
    async with (
        open_house(bounce_settings, sandbox) as system,
        working(system),
        receiving(system.engine) as (_, port),
    ):
        await system.publish(MAIL)
        batch = await system.start(contacts(3))
        await system.ended(batch)
        mails = sorted(sandbox.mails, key=lambda mail: mail.recipients[0])
        yield Sent(system, batch, mails, port)
