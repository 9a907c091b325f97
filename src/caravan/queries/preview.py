"""What one contact would get: the message of each message step of a journey, written by the steps' own code."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from caravan.delivery.cohort_delivery import view
from caravan.delivery.message_step import MessageStep, ShownMessage
from caravan.delivery.stand_in import stand_in
from caravan.engine.engine import Engine
from caravan.errors import NotFound, RenderFailed
from caravan.intake.strict import Accepted
from caravan.journeys.model import Journey
from caravan.queries.contact import contact_history

_KEY = "preview"  # in place of the delivery key, so that nothing that was shown can come back as an answer
_LOOKED_AT = 50  # of the newest batches, when a contact is picked


@dataclass(frozen=True, slots=True)
class Preview:
    """The message of a step; None, with the reason, where there would be none."""

    step: str
    kind: str
    shown: ShownMessage | None
    problem: str | None = None
    missing: list[str] = field(default_factory=list)  # placeholders that come out empty


async def previews(
    engine: Engine, customer: int, journey: Journey, contact: Accepted, step: str | None = None
) -> list[Preview]:
    """The messages of all message steps, or of one, in the order of the journey file."""
    steps = [each for each in journey.steps if isinstance(each, MessageStep) and step in (None, each.id)]
    now = engine.clock.now()

    def write() -> list[Preview]:
        return [_preview(each, contact, journey, customer, now) for each in steps]

    return await asyncio.to_thread(write)  # templates may take their time


def _preview(step: MessageStep, contact: Accepted, journey: Journey, customer: int, now: datetime) -> Preview:
    empty: set[str] = set()
    try:
        seen = view({"id": contact.id, "properties": contact.properties}, now, empty)
        envelope = step.write(seen, _KEY, stand_in(journey, step.id, customer, now), now)
        step.check_recipient(envelope)
    except RenderFailed as error:
        return Preview(step.id, step.kind, None, error.message, sorted(empty))
    return Preview(step.id, step.kind, step.show(envelope), None, sorted(empty))


async def pick(engine: Engine, customer: int, contact: str) -> Accepted:
    """The contact with this id, as it entered the newest batch that has it. Raises `NotFound`."""
    found = await contact_history(engine, customer, contact, _LOOKED_AT)
    known = [each.properties for each in found.entries if each.properties is not None]
    if not known:
        raise NotFound(f"Contact {contact!r} was here, but its properties are not kept any more; paste them.")
    return Accepted(contact, known[-1])
