"""The fast refusals: rows that are bad in a common way, named many at a time.

The strict reading remains the definition. Rows are put into groups that it can't tell apart, but for one number; it
reads one row of each group, and what it says of that is said of all. A row that belongs to no group is left to it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caravan.intake.strict import DEPTH, Refused, Verdict
from caravan.intake.utf8 import first_breaks

_W = r"[ \t\r]*"
_CHARS = r'[^"\\\x00-\x1f]'
_STRING = rf'"(?:{_CHARS}|\\["\\/bfnrt]|\\u[0-9a-fA-F]{{4}})*"'
_SCALAR = rf"(?:{_STRING}|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null)"
_NAME = rf"{_STRING}{_W}:{_W}"
_FLAT = rf"\{{{_W}(?:{_NAME}{_SCALAR}{_W}(?:,{_W}{_NAME}{_SCALAR}{_W})*)?\}}"
_LIST = rf"\[{_W}(?:{_SCALAR}{_W}(?:,{_W}{_SCALAR}{_W})*)?\]"
_VALUE = rf"(?:{_SCALAR}|{_FLAT}|{_LIST})"
_OPEN = rf"^{_W}\{{{_W}(?:{_NAME}{_VALUE}{_W},{_W})*(?:{_NAME}\{{{_W}(?:{_NAME}{_SCALAR}{_W},{_W})*)?"
_END = r"[ \t\r]*\n?$"

# A row that was cut off, in the row's object or in one inside it: within a string, or at one of four other places.
_IN_STRING = rf'{_OPEN}(?:{_NAME})?"{_CHARS}*{_END}'
_CUT = [rf"{_OPEN}{end}{_END}" for end in (_NAME + _VALUE, "", _STRING, _NAME)]
# No JSON begins so, and NaN and Infinity, which have a sentence of their own, neither: text or CSV.
_NO_BEGINNING = r"^[!#-,./:-HJ-MO-Z\\\]^-eg-mo-su-z|}~]"

Line = Callable[[int], Verdict]  # the strict reading of the row with this index


@dataclass(frozen=True, slots=True)
class Refusals:
    """Some refused rows: their indices in the array that was looked at, and why."""

    rows: NDArray[np.int64]
    codes: pa.StringArray
    messages: pa.StringArray

    @classmethod
    def join(cls, some: "list[Refusals]") -> "Refusals":
        """All of them, in no order."""
        codes = pa.concat_arrays([pa.array([], pa.string()), *(each.codes for each in some)])
        messages = pa.concat_arrays([pa.array([], pa.string()), *(each.messages for each in some)])
        return cls(np.concatenate([np.empty(0, np.int64), *(each.rows for each in some)]), codes, messages)

    def of(self, rows: NDArray[np.int64]) -> "Refusals":
        """The same of rows that are indices into an array in which row i is `rows[i]`."""
        return Refusals(rows[self.rows], self.codes, self.messages)


def not_utf8(texts: pa.StringArray, line: Line) -> Refusals:
    """The rows that aren't UTF-8. Their sentence tells the first byte that is wrong."""
    rows, places = first_breaks(texts)
    return alike(rows, np.zeros(len(rows), np.int64), line, places + 1)


def not_json(texts: pa.StringArray, line: Line) -> Refusals:
    """Those rows of UTF-8 that are cut off, or that don't even begin like JSON."""
    rows = np.arange(len(texts))
    found = [_in_string(texts, rows, line)]
    keys = np.full(len(rows), -1)
    for key, pattern in enumerate(_CUT):
        left = np.flatnonzero(keys < 0)
        left = np.setdiff1d(left, found[0].rows, assume_unique=True)
        keys[left[_matches(texts, left, pattern)]] = key
    left = np.setdiff1d(np.flatnonzero(keys < 0), found[0].rows, assume_unique=True)
    first = left[_matches(texts, left, _NO_BEGINNING)]
    first = first[_brackets(texts, first) <= DEPTH]
    starts = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts)]
    keys[first] = len(_CUT) + np.frombuffer(texts.buffers()[2], np.uint8)[starts[first]]
    named = np.flatnonzero(keys >= 0)
    return Refusals.join([*found, alike(named, keys[named], line)])


def _in_string(texts: pa.StringArray, rows: NDArray[np.int64], line: Line) -> Refusals:
    found = rows[_matches(texts, rows, _IN_STRING)]
    if not len(found):
        return Refusals.join([])
    some = texts.take(pa.array(found))
    offsets = np.frombuffer(some.buffers()[1], np.int32)[: len(some) + 1]
    data = np.frombuffer(some.buffers()[2], np.uint8)[: offsets[-1]]
    quotes = np.flatnonzero(data == ord('"'))
    begins = quotes[np.searchsorted(quotes, offsets[1:]) - 1]  # nothing behind the last quote is escaped
    characters = np.cumsum(data & 0xC0 != 0x80)
    numbers = characters[begins] - np.where(offsets[:-1], characters[offsets[:-1] - 1], 0)
    return alike(found, np.zeros(len(found), np.int64), line, numbers)


def alike(
    rows: NDArray[np.int64], keys: NDArray[np.int64], line: Line, numbers: NDArray[np.int64] | None = None
) -> Refusals:
    """Rows with the same key, in whose sentence only the number differs, refused as the strict reading refuses one.

    A group that it does not refuse, or in another way than it should, comes back empty.
    """
    _, firsts, groups = np.unique(keys, return_index=True, return_inverse=True)
    verdicts = [line(int(rows[first])) for first in firsts]
    codes = [each.code if isinstance(each, Refused) else None for each in verdicts]
    messages = [each.message if isinstance(each, Refused) else "" for each in verdicts]
    if numbers is None:
        told = pa.array(messages, pa.string()).take(pa.array(groups))
    else:
        split = [_around(each, int(numbers[first])) for each, first in zip(messages, firsts, strict=True)]
        codes = [code if ends else None for code, ends in zip(codes, split, strict=True)]
        begun, ended = (pa.array([ends[i] if ends else "" for ends in split], pa.string()) for i in (0, 1))
        place = pa.array(numbers).cast(pa.string())
        told = pc.binary_join_element_wise(begun.take(pa.array(groups)), place, ended.take(pa.array(groups)), "")
    named = pa.array(codes, pa.string()).take(pa.array(groups))
    sure = named.is_valid()
    return Refusals(rows[sure.to_numpy(zero_copy_only=False)], named.filter(sure), told.filter(sure))


def _around(message: str, number: int) -> tuple[str, str] | None:
    """What stands before and behind the number in a sentence that has it once."""
    begun, found, ended = message.partition(f" {number}")
    return (f"{begun} ", ended) if found and not ended[:1].isdigit() else None


def _matches(texts: pa.StringArray, rows: NDArray[np.int64], pattern: str) -> NDArray[np.bool_]:
    some = texts if len(rows) == len(texts) else texts.take(pa.array(rows))
    return np.asarray(pc.match_substring_regex(some, pattern).to_numpy(zero_copy_only=False), dtype=np.bool_)


def _brackets(texts: pa.StringArray, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    some = texts.take(pa.array(rows))
    counts = [pc.count_substring(some, bracket).to_numpy() for bracket in "[{"]
    return np.asarray(counts[0] + counts[1], dtype=np.int64)
