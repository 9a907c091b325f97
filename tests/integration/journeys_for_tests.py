"""Journeys that several tests use."""

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
