"""A test of a message step: what a contact would get, sent through the real channel to somebody who wants to see it."""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any

from caravan.delivery.channel_type import ChannelType
from caravan.delivery.cohort_delivery import view
from caravan.delivery.envelope import Envelope
from caravan.delivery.message_step import MessageStep
from caravan.delivery.result import Result, SendResult
from caravan.delivery.stand_in import stand_in
from caravan.engine.engine import Engine
from caravan.errors import InvalidInput
from caravan.intake.strict import Accepted
from caravan.journeys.model import Journey

_LONGEST = 20  # seconds


@dataclass(frozen=True, slots=True)
class PreparedTest:
    """A test that is written and not sent yet."""

    channel: ChannelType[Any]
    envelope: Envelope[Any]


async def write_test(
    engine: Engine, customer: int, journey: Journey, step_id: str, contact: Accepted, to: str
) -> PreparedTest:
    """Write the message of a step for a contact, to the address `to`. No gate is asked: who tries it wants it.

    Raises `NotFound` for a missing step, `InvalidInput` for one that sends nothing that one can give oneself, and
    `RenderFailed`.
    """
    step = journey.step(step_id)
    if not isinstance(step, MessageStep):
        raise InvalidInput(f"The step {step_id} sends no message.")
    now = engine.clock.now()
    key = f"test{secrets.token_hex(10)}"  # no delivery key begins so: what comes back for it belongs to no batch

    def write() -> Envelope[Any]:
        seen = view({"id": contact.id, "properties": contact.properties}, now)
        written = step.write_test(seen, to, key, stand_in(journey, step_id, customer, now), now)
        return step.encloser(engine.files, customer)(written)

    envelope = await asyncio.to_thread(write)  # a template may take its time
    channel = next(each for each in engine.channels if each.name == step.kind)
    return PreparedTest(channel, envelope)


async def send_test(engine: Engine, message: PreparedTest) -> SendResult:
    """Send a test once, over a connection of its own. It takes no longer than somebody waits for a page."""
    # A channel notes in its data folder that its relay is away, until it is back; this one is closed before that.
    settings = engine.settings.model_copy(update={"data": engine.scratch})
    async with message.channel.make(settings) as channel:
        try:
            async with asyncio.timeout(_LONGEST):
                return await channel.send(message.envelope.message)
        except TimeoutError:
            return SendResult(Result.UNKNOWN, f"The other side did not answer within {_LONGEST} seconds.")
