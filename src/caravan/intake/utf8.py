"""Finds the bytes that are not UTF-8 (RFC 3629 §4) in a block of lines, all at once.

Trying to decode each line costs more than all other work as soon as one line in a block is bad.
"""

import numpy as np
from numpy.typing import NDArray

_NEVER = -1  # C0, C1 and F5 to FF stand nowhere in UTF-8
# How many bytes a character has, by its first byte; 0 for ASCII and for bytes that only continue.
_LENGTH = np.zeros(256, np.int8)
_LENGTH[0xC0:0xC2] = _NEVER
_LENGTH[0xC2:0xE0] = 2
_LENGTH[0xE0:0xF0] = 3
_LENGTH[0xF0:0xF5] = 4
_LENGTH[0xF5:] = _NEVER
# What the second byte may be: overlong forms, surrogates and what lies beyond U+10FFFF are shut out.
_LOWEST = np.full(256, 0x80, np.uint8)
_LOWEST[0xE0], _LOWEST[0xF0] = 0xA0, 0x90
_HIGHEST = np.full(256, 0xBF, np.uint8)
_HIGHEST[0xED], _HIGHEST[0xF4] = 0x9F, 0x8F


def not_utf8(data: bytes) -> NDArray[np.int64]:
    """Positions of bytes in `data` that make it something else than UTF-8; at least one in each line that isn't."""
    padded = np.frombuffer(data + bytes(3), np.uint8)
    high = np.flatnonzero(padded & 0x80)
    byte = padded[high]
    length = _LENGTH[byte]
    leads, lengths = high[length > 0], length[length > 0]
    continued = np.zeros(len(padded), np.bool_)
    broken = np.zeros(len(leads), np.bool_)
    for nth in (1, 2, 3):
        longer = lengths > nth
        continued[leads[longer] + nth] = True
        broken |= longer & (padded[leads + nth] & 0xC0 != 0x80)
    second = padded[leads + 1]
    broken |= (second < _LOWEST[padded[leads]]) | (second > _HIGHEST[padded[leads]])
    stray = (byte & 0xC0 == 0x80) & ~continued[high]
    return np.concatenate((leads[broken], high[stray | (length == _NEVER)]))
