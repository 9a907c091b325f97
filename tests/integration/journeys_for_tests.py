"""Journeys that several tests use, and a way into them."""

from caravan.engine.commence import Commence, accept, enter
from caravan.engine.engine import Engine
from caravan.store.database import Connection
from caravan.store.idempotency import Answer


async def enter_single(engine: Engine, connection: Connection, customer: int, body: bytes) -> str:
    """Enter a contact into journey 1 by the single starter, in the caller's transaction; its batch."""
    (answer,) = await enter(engine, connection, [Commence(customer, 1, accept(body, 1 << 20))])
    assert isinstance(answer, Answer), answer
    return str(answer.body["batchId"])


EXIT = """
journey: 1
name: Straight out
steps:
  - id: out
    exit: {}
"""

SPRING = """
journey: 1
name: Spring sale
steps:
  - id: vip_or_not
    split:
      - if: attributeName = 'yes'
        to: vip_offer
      - else: offer
  - id: vip_offer
    email:
      from: Shop <shop@example.com>
      to: "{{ emailAddress }}"
      subject: "{{ firstname }}, this is for you"
      text: "Dear {{ firstname }}"
    next: days
  - id: offer
    email:
      from: Shop <shop@example.com>
      to: "{{ emailAddress }}"
      subject: "Spring is here"
      text: "Hello {{ firstname }}"
    next: days
  - id: days
    wait: 3 days
    next: out
  - id: out
    exit: {}
"""

MAIL = """
journey: 1
name: One mail
steps:
  - id: mail
    email:
      from: shop@example.com
      to: "{{ emailAddress }}"
      subject: "Hello {{ firstname }}"
      text: "Hello {{ firstname }}"
"""

WAIT = """
journey: 1
name: Wait
steps:
  - id: days
    wait: 3 days
    next: out
  - id: out
    exit: {}
"""


def contacts(count: int, start: int = 0) -> bytes:
    """A file of contacts that are all fine."""
    return b"".join(
        b'{"id": "%d", "properties": {"emailAddress": "c%d@example.com", "firstname": "N%d", "attributeName": "%s"}}\n'
        % (number, number, number, b"yes" if number % 2 else b"no")
        for number in range(start, start + count)
    )
