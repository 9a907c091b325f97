"""The SMS step: what it writes, and what is told about a journey that has one."""

from datetime import UTC, datetime

import pytest

from caravan.channels.registry import STEP_TYPES
from caravan.channels.sms.step import Sms
from caravan.channels.sms.text import clean
from caravan.delivery.stand_in import stand_in
from caravan.errors import InvalidDefinition, NoRecipient, RenderFailed, UnsupportedRecipient
from caravan.journeys.definition import read_journey
from caravan.journeys.placeholders import ContactView

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOSTILE = "Hi\r\nBcc: x\0\x1b[31m \u202eevil\u2066 \u200bzero\tand \ud800half <script>'\"&"


def step(**fields: object) -> Sms:
    given = {"to": "{{ phone }}", "text": "Hello {{ name }}", "region": "SE", "from": "Shop", **fields}
    return Sms.model_validate({"id": "tell", **given})


def written(of: Sms, **properties: object):  # type: ignore[no-untyped-def]
    journey = read_journey("journey: 1\nname: x\nsteps: [{id: tell, sms: {to: '+46701234567', text: x}}]", STEP_TYPES)
    contact = ContactView("c1", {"phone": "070-123 45 67", "name": "Anna", **properties})
    return of.write(contact, "key1", stand_in(journey, "tell", 7, NOW), NOW)


def test_a_message_is_written_for_a_contact() -> None:
    envelope = written(step(topic="Offers"))
    assert (envelope.recipient, envelope.key, envelope.topic) == ("+46701234567", "key1", "Offers")
    assert (envelope.sender, envelope.contact) == ("Shop", "c1")
    message = envelope.message
    assert (message.number, message.text, message.sender) == ("+46701234567", "Hello Anna", "Shop")
    assert (message.size.segments, message.size.encoding) == (1, "GSM-7")


def test_a_text_that_is_too_long_is_refused_and_not_cut() -> None:
    with pytest.raises(RenderFailed) as refused:
        written(step(max_segments=3), name="x" * 10_000)
    assert refused.value.message == "The text takes 66 segments; max_segments is 3."
    with pytest.raises(RenderFailed, match=r"takes 2 segments in UCS-2, because of 😀 \(U\+1F600\); max_segments is 1"):
        written(step(max_segments=1), name="x" * 70 + "😀")


def test_hostile_text_comes_out_harmless() -> None:
    message = written(step(), name=HOSTILE).message
    assert message.text == "Hello Hi\nBcc: x[31m evil zero and half <script>'\"&"
    assert message.size.encoding == "GSM-7"


def test_letters_are_composed_and_joiners_stay() -> None:
    assert clean("Cafe\u0301\r\n") == "Café"
    assert clean("👨\u200d👩\u200d👧") == "👨\u200d👩\u200d👧"


def test_what_a_contact_lacks_is_an_outcome() -> None:
    with pytest.raises(NoRecipient):
        written(step(), phone="")
    with pytest.raises(UnsupportedRecipient, match="landline"):
        written(step(), phone="08-123 456 78")
    with pytest.raises(RenderFailed, match="empty"):
        written(step(text="{{ nothing }}"))
    with pytest.raises(RenderFailed, match="`from` is"):
        written(step(**{"from": "{{ brand }}"}), brand="A very long brand")


def test_the_region_can_be_the_contacts() -> None:
    assert written(step(region="{{ country }}"), country="no", phone="412 34 567").recipient == "+4741234567"


def test_a_journey_is_checked_whole() -> None:
    wrong = """journey: 1
name: x
steps:
  - id: a
    sms:
      to: "{{ phone"
      txt: Hello
      region: Sweden
      from: A very long sender
      max_segments: 300
  - id: b
    sms: {to: "08-123 456 78", region: SE,
      text: "€€€€€ – quite long enough for two segments in the long one, not in one of them",
      max_segments: 1}
"""
    with pytest.raises(InvalidDefinition) as refused:
        read_journey(wrong, STEP_TYPES)
    told = "\n".join(map(str, refused.value.problems))
    assert "line 6: a.sms.to: the template can't be read" in told
    assert "line 7: a.sms.txt: unknown key 'txt'; did you mean 'text'?" in told
    assert "line 8: a.sms.region: 'Sweden' is no region; write two letters like SE, US or GB (ISO 3166)" in told
    assert "line 9: a.sms.from: `from` is 'A very long sender'" in told
    assert "line 10: a.sms.max_segments: " in told
    assert "line 12: b.sms.to: '08-123 456 78' is a landline" in told
    assert "line 13: b.sms.text: the text takes 2 segments in UCS-2, because of – (U+2013); max_segments is 1" in told


def test_a_test_says_that_it_is_one_and_goes_to_another_number() -> None:
    journey = read_journey("journey: 1\nname: x\nsteps: [{id: tell, sms: {to: '+46701234567', text: x}}]", STEP_TYPES)
    contact = ContactView("c1", {"phone": "070-123 45 67", "name": "Anna"})
    envelope = step().write_test(contact, "070-765 43 21", "t1", stand_in(journey, "tell", 7, NOW), NOW)
    assert (envelope.recipient, envelope.message.text) == ("+46707654321", "[Test] Hello Anna")
