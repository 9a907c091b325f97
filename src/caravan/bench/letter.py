"""The mails of `bench email`: personal, text and HTML, of a given size."""

from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import indent

from caravan.bench.inputs import contact
from caravan.bench.system import JOURNEY
from caravan.channels.content import BodyWriter
from caravan.channels.mail import Letterhead, compose
from caravan.journeys.placeholders import ContactView, compile_template

_FROM = "Shop <shop@example.com>"
_SUBJECT = "{{ firstname | default: 'Friend' }}, spring has come to {{ city }}"
_TEXT = """Dear {{ firstname | default: 'friend' }} {{ lastname }},
the best of the spring is yours before anybody else in {{ city }} sees it.
{% if ltv >= 100 %}Because you are so loyal, the delivery is free.{% endif %}
"""
_PARAGRAPH = (
    '<p style="margin:0 0 16px;font:16px/24px sans-serif;color:#333333">\n'
    "A garden chair of oak, oiled by hand, that stands in any rain without a murmur,\n"
    'and <a href="https://shop.example.com/chairs/oak?from=spring">a table to match</a>.</p>\n'
)
_PERSONAL = _PARAGRAPH.replace("A garden", "Hand-picked for {{ firstname | default: 'you' }} in {{ city }}: a garden")
_TRACK = "\n      track: [opens, clicks]"
_LINE = "A garden chair of oak, oiled by hand, that stands in any rain without a murmur.\n"
_EVERY = 10  # of the paragraphs is personal


@dataclass(frozen=True, slots=True)
class Letter:
    """The templates of one email step."""

    text: str
    html: str

    def journey(self, *, track: bool = False) -> str:
        """A journey of this one mail; with its opens and clicks tracked, or not."""
        text, html = (indent(each, " " * 8) for each in (self.text, self.html))
        return (
            f"journey: {JOURNEY}\nname: Bench\nsteps:\n  - id: mail\n    email:\n      from: {_FROM}\n"
            f'      to: "{{{{ emailAddress }}}}"\n      subject: "{_SUBJECT}"'
            f"{_TRACK if track else ''}"
            f"\n      text: |\n{text}      html: |\n{html}"
        )

    def octets(self, number: int = 1) -> int:
        """How long a contact's mail is: header and body, as it goes over the wire."""
        person = ContactView(f"c-{number:08}", contact(number))
        subject, text, html = (compile_template(each).render(person) for each in (_SUBJECT, self.text, self.html))
        to = f"c{number}@example.com"
        mail = compose(
            Letterhead.of(_FROM),
            BodyWriter(),
            to=to,
            subject=subject,
            text=text,
            html=html,
            key="0" * 40,
            date=datetime.now(UTC),
        )
        return len(mail.content)


def letter(octets: int) -> Letter:
    """One whose mails have about so many octets, a third of them text; one in ten paragraphs is personal."""
    return next(made for count in range(1, octets) if (made := _letter(count)).octets() >= octets)


def _letter(paragraphs: int) -> Letter:
    html = "".join(_PARAGRAPH if number % _EVERY else _PERSONAL for number in range(paragraphs))
    return Letter(_TEXT + _LINE * (paragraphs - 1), f"<html><body>\n{html}</body></html>\n")
