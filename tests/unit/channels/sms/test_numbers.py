"""Numbers as people write them become numbers as gateways take them, or a sentence."""

import pytest

from caravan.channels.sms.numbers import check_sender, same_number, to_e164
from caravan.errors import NoRecipient, RenderFailed, UnsupportedRecipient


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("0701234567", "SE", "+46701234567"),
        ("070-123 45 67", "SE", "+46701234567"),
        ("46701234567", "SE", "+46701234567"),
        ("0046701234567", "SE", "+46701234567"),
        ("+46 (0)70 123 45 67", None, "+46701234567"),
        ("\u202a+46701234567\u202c", None, "+46701234567"),  # as it is copied out of contacts on a phone
        ("tel:+46701234567", None, "+46701234567"),
        ("٠٧٠١٢٣٤٥٦٧", "SE", "+46701234567"),
        ("(201) 555-0123", "US", "+12015550123"),
    ],
)
def test_numbers_that_people_write(text: str, region: str | None, number: str) -> None:
    assert to_e164(text, region) == number


@pytest.mark.parametrize(
    ("text", "region", "sentence"),
    [
        ("", "SE", "The message has no number: `to` is empty."),
        ("abc", "SE", "'abc' is no phone number."),
        ("070", "SE", "'070' is no phone number: it is too short."),
        ("0701234567", None, "'0701234567' is no phone number: it has no country's code, and the step no region."),
        ("0701234567", "XX", "'0701234567' is no phone number: 'XX' is no region."),
        ("+999123456789", None, "'+999123456789' is no phone number."),
        ("+46701234567\r\nBcc: x", None, "'+46701234567 Bcc: x' is no phone number."),
        ("+46701234567\0", None, "'+46701234567' is no phone number."),
        ("9" * 10_000, "SE", f"'{'9' * 40}…' is no phone number."),
        ("+46701234567 ext 5", None, "'+46701234567 ext 5' has an extension; a text message can't be sent to one."),
    ],
)
def test_what_is_no_number_is_told(text: str, region: str | None, sentence: str) -> None:
    with pytest.raises(NoRecipient) as refused:
        to_e164(text, region)
    assert refused.value.message == sentence or refused.value.message.startswith(sentence.removesuffix(".") + ":")


@pytest.mark.parametrize(
    ("text", "kind"),
    [("+46812345678", "a landline"), ("+18005551234", "a toll-free number"), ("+46939123456", "a premium-rate number")],
)
def test_numbers_that_get_no_texts(text: str, kind: str) -> None:
    with pytest.raises(UnsupportedRecipient, match=kind):
        to_e164(text)


def test_suppressions_compare_numbers_in_their_international_form() -> None:
    assert same_number("+46 70-123 45 67") == "+46701234567"
    assert same_number("+46812345678") == "+46812345678", "a landline can be suppressed too"
    with pytest.raises(NoRecipient):
        same_number("0701234567")


@pytest.mark.parametrize(
    ("text", "sender"), [("Shop", "Shop"), ("+46 70-123 45 67", "+46701234567"), ("71234", "71234"), ("A & B", "A & B")]
)
def test_senders(text: str, sender: str) -> None:
    assert check_sender(text) == sender


@pytest.mark.parametrize("text", ["", "My Shop Name", "Shøp", "Sh\nop", "12", "+0123456789", " & ", "Shop\u202e"])
def test_what_can_be_no_sender(text: str) -> None:
    with pytest.raises(RenderFailed, match="`from` is"):
        check_sender(text)
