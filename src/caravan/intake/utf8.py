"""Finds what is not UTF-8 (RFC 3629 §4) among many texts, all at once.

Trying to decode each text costs more than all other work as soon as one of them is bad.
"""

import numpy as np
import pyarrow as pa
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


def broken_texts(texts: pa.StringArray) -> NDArray[np.int64]:
    """Indices of those texts that aren't UTF-8. Each text, except perhaps the last, must end in an ASCII character, and
    they must lie in memory one behind the other."""
    return first_breaks(texts)[0]


def first_breaks(texts: pa.StringArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same, and in each of them the position of the first byte at which decoding fails."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    if not len(texts) or _is_utf8(data := texts.buffers()[2].slice(offsets[0], offsets[-1] - offsets[0])):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    found = np.sort(not_utf8(data.to_pybytes()) + int(offsets[0]))
    rows, firsts = np.unique(np.searchsorted(offsets, found, side="right") - 1, return_index=True)
    return rows, found[firsts] - offsets[rows]


def _is_utf8(data: pa.Buffer) -> bool:
    """Several times as quick as decoding."""
    bounds = pa.py_buffer(np.array([0, data.size], np.int32))
    try:
        pa.Array.from_buffers(pa.binary(), 1, [None, bounds, data]).cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


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
        broken |= longer & (padded[leads + nth] & 0xC0 != 0x80)
        continued[leads[longer & ~broken] + nth] = True  # what follows a break may be in another line
    second = padded[leads + 1]
    broken |= (second < _LOWEST[padded[leads]]) | (second > _HIGHEST[padded[leads]])
    stray = (byte & 0xC0 == 0x80) & ~continued[high]
    return np.concatenate((leads[broken], high[stray | (length == _NEVER)]))
