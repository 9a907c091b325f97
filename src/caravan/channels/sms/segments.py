"""How a text goes over the air: in GSM's 7-bit letters or in UCS-2, and in how many segments (3GPP TS 23.038, TS 23.040
§9.2.3.24.1). Gateways bill each segment like a message."""

import re
from typing import Final

from caravan.delivery.message_step import MessageSize

GSM, UCS2 = "GSM-7", "UCS-2"
#: The default alphabet (TS 23.038 §6.2.1): one unit of 7 bits for each letter.
BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
#: Its extension table (§6.2.1.1): an escape and a letter, two units that stay together.
EXTENSION: Final = "\f^{}\\[~]|€"
_GSM_ALONE, _GSM_PART = 160, 153  # units of a message that is one segment, and of one segment of several
_UCS2_ALONE, _UCS2_PART = 70, 67  # units of 16 bits; a character beyond U+FFFF takes two, which stay together
_FOREIGN: Final = re.compile(f"[^{re.escape(BASIC + EXTENSION)}]")
_DOUBLE: Final = re.compile(f"[{re.escape(EXTENSION)}]")
_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")


def size_of(text: str) -> MessageSize:
    """The segments of `text`, with the first character for which it can't be GSM's."""
    foreign = _FOREIGN.search(text)
    if foreign is None:
        return MessageSize(_segments(text, _DOUBLE, _GSM_ALONE, _GSM_PART), GSM)
    because = f"{foreign[0]} (U+{ord(foreign[0]):04X})"
    return MessageSize(_segments(text, _ASTRAL, _UCS2_ALONE, _UCS2_PART), UCS2, because)


def _segments(text: str, double: re.Pattern[str], alone: int, part: int) -> int:
    """How many segments it takes, where the characters that `double` finds are two units and are never cut."""
    pairs = [found.start() for found in double.finditer(text)]
    if len(text) + len(pairs) <= alone:
        return 1
    if not pairs:
        return -(-len(text) // part)
    segments, filled, at = 1, 0, set(pairs)
    for index in range(len(text)):
        units = 2 if index in at else 1
        if filled + units > part:
            segments, filled = segments + 1, 0
        filled += units
    return segments
