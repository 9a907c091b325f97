"""Tests of message steps: who may send how many, with a line of the audit log for each."""

from datetime import timedelta

from caravan.access import audit
from caravan.access.audit import Actor
from caravan.delivery.result import SendResult
from caravan.engine.engine import Engine
from caravan.engine.test_send import send_test, write_test
from caravan.errors import TooOften
from caravan.intake.strict import Accepted
from caravan.journeys.model import Journey

MOST = 20  # tests of one actor
WITHIN = timedelta(minutes=10)
_ACT = "send_test"


async def send_as(engine: Engine, actor: Actor, journey: Journey, step: str, contact: Accepted, to: str) -> SendResult:
    """Send the message of a step for a contact to the address `to`. It is entered into the audit log before it goes
    out. Raises `TooOften`, and as `write_test` does."""
    assert actor.customer is not None
    message = await write_test(engine, actor.customer, journey, step, contact, to)
    now = engine.clock.now()
    async with engine.pool.connection() as connection, connection.transaction():
        if await audit.count_recent(connection, actor, _ACT, now - WITHIN) >= MOST:
            minutes = round(WITHIN.total_seconds() / 60)
            raise TooOften(f"At most {MOST} tests can be sent in {minutes} minutes; try again later.")
        detail = {"step": step, "contact": contact.id, "to": to}
        await audit.record(connection, actor, _ACT, f"journey {journey.journey}", detail, at=now)
    return await send_test(engine, message)
