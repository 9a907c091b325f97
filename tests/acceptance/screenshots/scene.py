"""What the pictures show: two journeys, and batches of made contacts in the states that a marketer meets."""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from caravan.client import Client
from caravan.samples import BAD_ROWS
from tests.acceptance.conftest import until

SPRING, WELCOME, TELL = 4711, 4720, 4730
CONTACT = "c-1204"  # one that entered several batches
_LARGEST_OTHER = 6_000  # contacts of the other batches
_RATE = 250  # messages a second of the batch that is seen running
_BAD_EACH = 160  # one row in so many can't be used
_FIRST = ("Amira", "Björn", "Chloé", "Davide", "Elif", "Freja", "Goran", "Hanna", "Ivo", "Júlia", "Kofi", "Linnea")
_CITIES = ("Malmö", "København", "Oslo", "Göteborg", "Bergen", "Uppsala", "Aarhus")
_HTML = """
        <body style="margin:0;background:#f4f1ea;font-family:Georgia,serif;color:#22302b">
        <div style="max-width:34rem;margin:0 auto;padding:2rem;background:#fff">
        <p style="color:#0b6e5b;letter-spacing:.1em">FIELD &amp; FERN</p>
        <h1 style="font-weight:normal">{{ firstname }}, spring is here</h1>
        <p>Everything for the balcony is 20 % off until Sunday, also in our shop in {{ city }}.</p>
        <p><a href="https://shop.example.com/spring" style="color:#0b6e5b">See the offers</a></p>
        </div></body>"""
_SPRING = f"""\
journey: {SPRING}
name: Spring sale
steps:
  - id: vip_or_not
    split:
      - if: vip = true and ltv >= 250
        to: vip_letter
      - else: two_subjects
  - id: vip_letter
    email:
      from: Field & Fern <hello@shop.example.com>
      to: "{{{{ emailAddress }}}}"
      subject: "{{{{ firstname }}}}, a day before everybody else"
      text: "Dear {{{{ firstname }}}}, the best of the spring is yours a day early."
      html: |{_HTML}
    next: three_days
  - id: two_subjects
    ab: [{{weight: 50, to: short_letter}}, {{weight: 50, to: long_letter}}]
  - id: short_letter
    email:
      from: Field & Fern <hello@shop.example.com>
      to: "{{{{ emailAddress }}}}"
      subject: "Spring is here"
      text: "Hello {{{{ firstname }}}}, everything for the balcony is 20 % off until Sunday."
      html: |{_HTML}
    next: three_days
  - id: long_letter
    email:
      from: Field & Fern <hello@shop.example.com>
      to: "{{{{ emailAddress }}}}"
      subject: "20 % off everything for the balcony, {{{{ firstname }}}}"
      text: "Hello {{{{ firstname }}}}, everything for the balcony is 20 % off until Sunday."
      html: |{_HTML}
    next: three_days
  - id: three_days
    wait: 3 days
    next: last_chance
  - id: last_chance
    email:
      from: Field & Fern <hello@shop.example.com>
      to: "{{{{ emailAddress }}}}"
      subject: "Only until Sunday"
      text: "Hello {{{{ firstname }}}}, only until Sunday."
"""
_WELCOME = f"""\
journey: {WELCOME}
name: Welcome
steps:
  - id: welcome
    email:
      from: Field & Fern <hello@shop.example.com>
      to: "{{{{ emailAddress }}}}"
      subject: "Welcome, {{{{ firstname }}}}"
      text: "Dear {{{{ firstname }}}}, it is good to have you here."
      html: |{_HTML.replace("spring is here", "welcome")}
"""


_TELL = f"""\
journey: {TELL}
name: Tell the loyalty program
steps:
  - id: vip_or_not
    split:
      - if: vip = true
        to: tell_loyalty
      - else: out
  - id: tell_loyalty
    webhook: {{url: "%s"}}
    next: out
  - id: out
    exit: {{}}
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """The batches that the pictures show, by their ids."""

    running: str
    paused: str
    completed: str
    held: str
    untold: str  # with dead letters
    reached: str  # a contact of the running one


def build(client: Client, folder: Path, url: str) -> Scene:
    """Publish the journeys and start the batches, the oldest first; return once each is in its state. A webhook is
    called at a place below `url` that there is not."""
    client.publish(WELCOME, _WELCOME)
    client.publish(SPRING, _SPRING)
    client.publish(SPRING, _SPRING.replace("ltv >= 250", "ltv >= 300"))
    client.suppress("hanna.1@example.com", "linnea.5@example.com", reason="unsubscribed")
    client.suppress("goran.6@example.com", reason="hard_bounce", detail="550 5.1.1 no such user")
    completed = _start(client, WELCOME, folder, 2_400)
    _refused(client, folder)
    client.publish(TELL, _TELL % f"{url}/loyalty/points")
    untold = _start(client, TELL, folder, 300)
    recalled = _start(client, SPRING, folder, 900)
    client.cancel(recalled)
    paused = _start(client, SPRING, folder, _LARGEST_OTHER)
    client.pause(paused)
    client.set_rate("email", per_second=_RATE)
    running = client.start_file(SPRING, _file(folder, 20_000)).batch
    until(lambda: _sent(client, running, "short_letter") >= 1_000, 120)
    held = client.start_file(SPRING, _file(folder, 5_000), hold=True).batch
    client.open_upload(WELCOME)
    until(lambda: client.batch(held).ledger.entered and client.batch(held).waiting_for, 120)
    return Scene(running, paused, completed, held, untold, _reached(client, running))


def _reached(client: Client, batch: str) -> str:
    """A contact that no other batch has and that got its message."""
    sent = client.journal(batch, step="short_letter", outcome="sent")
    return next(each.contact for each in sent if int(each.contact.removeprefix("c-")) > _LARGEST_OTHER)


def _sent(client: Client, batch: str, step: str) -> int:
    steps = client.batch(batch).ledger.steps
    return sum(each.outcomes.get("sent", 0) for each in steps if each.step == step)


def _start(client: Client, journey: int, folder: Path, count: int) -> str:
    """Start a batch, and wait until each contact that enters has got the first message or failed to."""
    batch = client.start_file(journey, _file(folder, count)).batch
    client.wait(batch, until="sent")
    return batch


def _refused(client: Client, folder: Path) -> None:
    file = folder / "array.ndjson"
    file.write_text(json.dumps([{"id": "c-1", "properties": {}}]) + "\n")
    batch = client.start_file(WELCOME, file).batch
    until(lambda: client.batch(batch).ended)


def _file(folder: Path, count: int) -> Path:
    file = folder / f"{count}.ndjson"
    file.write_bytes(b"\n".join(_rows(count)) + b"\n")
    return file


def _rows(count: int) -> Iterator[bytes]:
    for number in range(1, count + 1):
        if number % _BAD_EACH == 0:
            yield BAD_ROWS[number // _BAD_EACH % len(BAD_ROWS)][0]
            continue
        yield json.dumps({"id": f"c-{number}", "properties": _properties(number)}, ensure_ascii=False).encode()


def _properties(number: int) -> dict[str, object]:
    name = _FIRST[number * 7 % len(_FIRST)]
    properties: dict[str, object] = {
        "emailAddress": f"{_plain(name)}.{number}@example.com",
        "firstname": name,
        "city": _CITIES[number % len(_CITIES)],
        "vip": number % 4 == 0,
        "ltv": str(number * 13 % 700),
    }
    if number % 211 == 0:
        properties["emailAddress"] = "none"
    if number % 97 == 0:
        del properties["firstname"]
    return properties


def _plain(name: str) -> str:
    """A name as addresses write it: without accents."""
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
