"""Files of contacts and the journey that they go on, with what must become of each contact."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from caravan.delivery.key import DeliveryKey, make_key

JOURNEY = """
journey: 1
name: Chaos
steps:
  - id: which
    split:
      - if: vip = 'yes'
        to: short
      - else: long
  - id: short
    wait: 1 second
    next: mail
  - id: long
    wait: 4 seconds
    next: letter
  - id: mail
    email: {{from: shop@example.com, to: "{{{{ emailAddress }}}}", subject: "Hello", text: "Dear {{{{ firstname }}}}"}}
    next: tell
  - id: letter
    email: {{from: shop@example.com, to: "{{{{ emailAddress }}}}", subject: "Hi", html: "<p>{{{{ firstname }}}}</p>"}}
    next: insist
  - id: tell
    webhook: {{url: "http://127.0.0.1:{port}/hook", body: {{contact: "{{{{ id }}}}"}}}}
  - id: insist
    webhook: {{url: "http://127.0.0.1:{port}/hook", body: {{contact: "{{{{ id }}}}"}}, on_unknown: resend}}
"""
_PLACES = {"mail": 3, "letter": 4, "tell": 5, "insist": 6}  # among the steps
_MAILS = {"mail", "letter"}
_VISITS = {"mail": 2, "letter": 2, "tell": 3, "insist": 3}  # of those that send: how many steps lie behind


def is_mail(step: str) -> bool:
    """Whether contacts receive a mail there."""
    return step in _MAILS


def is_send(step: str) -> bool:
    """Whether contacts receive something there."""
    return step in _VISITS


def is_resent(step: str) -> bool:
    """Whether what may have arrived is sent again there, under the same key."""
    return step == "insist"


def key(batch: str, step: str, line: int) -> str:
    """The name of a contact's delivery at a step: its Message-ID or Idempotency-Key, but for the signature."""
    return unsigned(make_key(DeliveryKey(batch, _PLACES[step], _VISITS[step], line), b"any"))


def unsigned(key: str) -> str:
    """A delivery key without its signature, for those who do not know the installation's secret."""
    return key[:-12]


@dataclass(frozen=True, slots=True)
class Audience:
    """A file of `rows` lines: some are broken, some duplicates, the others contacts."""

    path: Path
    rows: int

    def write(self) -> None:
        with self.path.open("w") as file:
            file.writelines(_row(number) for number in range(self.rows))

    def contacts(self) -> Iterator[tuple[str, int]]:
        """Who must enter: id and line."""
        return ((str(number), number + 1) for number in range(self.rows) if _is_good(number))

    def way_of(self, contact: str) -> list[str]:
        """The steps at which the contact must be told of, each once."""
        return ["which", "short", "mail", "tell"] if _is_vip(int(contact)) else ["which", "long", "letter", "insist"]

    def keys(self, batch: str) -> set[str]:
        """The names of all deliveries of a batch that enters this file."""
        return {
            key(batch, step, line)
            for contact, line in self.contacts()
            for step in self.way_of(contact)
            if is_send(step)
        }

    def rejected(self) -> dict[str, int]:
        """How many rows must be rejected, by reason."""
        numbers = range(self.rows)
        counts = {"not_json": sum(map(_is_broken, numbers)), "duplicate": sum(map(_is_double, numbers))}
        return {code: count for code, count in counts.items() if count}


def _is_broken(number: int) -> bool:
    return number % 997 == 5


def _is_double(number: int) -> bool:
    return number % 1009 == 7 and not _is_broken(number)


def _is_good(number: int) -> bool:
    return not _is_broken(number) and not _is_double(number)


def _is_vip(number: int) -> bool:
    return number % 3 == 0


def _row(number: int) -> str:
    if _is_broken(number):
        return "nonsense\n"
    contact, vip = 0 if _is_double(number) else number, "yes" if _is_vip(number) else "no"
    properties = f'{{"emailAddress": "c{contact}@example.com", "firstname": "N{contact}", "vip": "{vip}"}}'
    return f'{{"id": "{contact}", "properties": {properties}}}\n'
