"""Phone numbers, as people write them and as gateways take them (E.164)."""

import re
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType, ValidationResult

from caravan.channels.replies import one_line
from caravan.errors import NoRecipient, RenderFailed, UnsupportedRecipient

REGIONS: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)  # ISO 3166: SE, US …
_UNSEEN: Final = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")  # what comes along when one is copied
_SHOWN: Final = 40  # characters
#: Kinds that get no text messages, or on which one costs the sender a fortune.
_UNSUPPORTED: Final = {
    PhoneNumberType.FIXED_LINE: "a landline",
    PhoneNumberType.PREMIUM_RATE: "a premium-rate number",
    PhoneNumberType.TOLL_FREE: "a toll-free number",
    PhoneNumberType.SHARED_COST: "a shared-cost number",
    PhoneNumberType.UAN: "a company's service number",
    PhoneNumberType.VOICEMAIL: "a voicemail",
}
_WRONG: Final = {
    ValidationResult.TOO_SHORT: "it is too short",
    ValidationResult.TOO_LONG: "it is too long",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "its area code is missing",
    ValidationResult.INVALID_COUNTRY_CODE: "there is no such country code",
}
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_SHORT_CODE: Final = re.compile(r"[0-9]{3,8}", re.ASCII)
_NAME: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9&_+.-](?:[A-Za-z0-9 &_+.-]{0,9}[A-Za-z0-9&_+.-])?", re.ASCII)


def to_e164(text: str, region: str | None = None) -> str:
    """The number like +46701234567; one without a country's code is of `region`.

    Raises `NoRecipient` for what is no number, and `UnsupportedRecipient` for one that gets no text messages.
    """
    number = parse(text, region)
    kind = _UNSUPPORTED.get(phonenumbers.number_type(number))
    if kind is not None:
        raise UnsupportedRecipient(f"'{_shown(text)}' is {kind}, which gets no text messages.")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def parse(text: str, region: str | None = None) -> PhoneNumber:
    """The number of whatever kind. Raises `NoRecipient`."""
    written = _UNSEEN.sub("", text).strip()
    if not written:
        raise NoRecipient("The message has no number: `to` is empty.")
    if not written.isprintable():
        raise NoRecipient(f"'{_shown(text)}' is no phone number.")
    try:
        number = phonenumbers.parse(written, region if region in REGIONS else None)
    except NumberParseException as error:
        raise NoRecipient(f"'{_shown(text)}' is no phone number{_why(error, region)}.") from None
    if number.extension:
        raise NoRecipient(f"'{_shown(text)}' has an extension; a text message can't be sent to one.")
    if not phonenumbers.is_valid_number(number):
        why = _WRONG.get(phonenumbers.is_possible_number_with_reason(number), "nobody has a number like it")
        raise NoRecipient(f"'{_shown(text)}' is no phone number: {why}.")
    return number


def same_number(text: str) -> str:
    """A number in international form as suppressions compare it, whether anybody has it or not. Raises `NoRecipient`
    for one in another form."""
    try:
        number = phonenumbers.parse(_UNSEEN.sub("", text).strip(), None)
    except NumberParseException:
        raise NoRecipient(f"'{_shown(text)}' is no phone number in international form, like +46701234567.") from None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def bare_number(text: str) -> str | None:
    """A number as gateways hand it on, with or without a plus, as E.164; None for what is none, like a name."""
    digits = re.sub(r"[ ()./-]", "", _UNSEEN.sub("", text)).removeprefix("+").removeprefix("00")
    return f"+{digits}" if _NUMBER.fullmatch(f"+{digits}") else None


def check_sender(text: str) -> str:
    """A sender as gateways take it. Raises `RenderFailed` for what can't be one."""
    compact = re.sub(r"[ ()./-]", "", text) if text.strip().startswith("+") else text.strip()
    if _NUMBER.fullmatch(compact) or _SHORT_CODE.fullmatch(compact) or _NAME.fullmatch(compact):
        return compact
    raise RenderFailed(
        f"`from` is '{_shown(text)}'; it must be a number like +46701234567, a short code of 3 to 8 digits, or a name "
        "of at most 11 of the letters A to Z, digits and blanks."
    )


def _why(error: NumberParseException, region: str | None) -> str:
    if error.error_type != NumberParseException.INVALID_COUNTRY_CODE:
        return ""
    if region is None:
        return ": it has no country's code, and the step no region"
    return f": '{_shown(region)}' is no region" if region not in REGIONS else ": there is no such country code"


def _shown(text: str) -> str:
    shown = one_line(_UNSEEN.sub("", text), _SHOWN + 1)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
