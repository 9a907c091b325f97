"""A delivery key leads back to its delivery, is the same at each attempt, and nothing else passes for one."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.delivery.key import LONGEST, MAX_LINE, MAX_STEP, MAX_VISIT, DeliveryKey, batch_of, make_key, read_key
from caravan.journeys.definition import MAX_STEPS
from caravan.store.batches import new_batch_id
from tests.examples import many

SECRET = b"a secret of the installation"
_DIGITS = "0123456789abcdefghijklmnopqrstuv"


def _numbers(largest: int) -> st.SearchStrategy[int]:
    """Of every length, and the edges of each: 0, 1, 31, 32, …"""
    edges = [1 << bits for bits in range(largest.bit_length())]
    return st.integers(0, largest) | st.sampled_from([0, largest, *edges, *(edge - 1 for edge in edges)])


batches = st.builds(lambda number: f"b_{number:020x}", _numbers((1 << 80) - 1))
keys = st.builds(DeliveryKey, batches, _numbers(MAX_STEP), _numbers(MAX_VISIT), _numbers(MAX_LINE))
secrets = st.binary(min_size=1, max_size=48)


def test_never_changes_because_a_retry_may_come_after_an_upgrade() -> None:
    key = DeliveryKey("b_0123456789abcdef0123", 3, 2, 4711)
    assert make_key(key, SECRET) == "104hkaps9lf6uu09303124j7biu8q1gakhu9"


@given(keys, secrets)
def test_of_our_own_making_names_its_batch_without_a_secret(key: DeliveryKey, secret: bytes) -> None:
    assert batch_of(make_key(key, secret)) == key.batch


@pytest.mark.parametrize("text", ["", "x", "c7", "1" * 100, "b_0123456789abcdef0123"])
def test_what_is_no_key_names_no_batch(text: str) -> None:
    assert batch_of(text) is None


@given(keys, secrets)
def test_leads_back_in_whatever_case_it_comes(key: DeliveryKey, secret: bytes) -> None:
    text = make_key(key, secret)
    assert [read_key(each, [secret]) for each in (text, text.upper(), text.swapcase())] == [key] * 3


@given(keys, st.data())
def test_leads_back_however_the_case_of_its_letters_is_mixed(key: DeliveryKey, data: st.DataObject) -> None:
    text = make_key(key, SECRET)
    mixed = "".join(data.draw(st.sampled_from([each, each.upper()])) for each in text)
    assert read_key(mixed, [SECRET]) == key


@given(keys)
def test_is_at_most_48_lower_case_letters_and_digits(key: DeliveryKey) -> None:
    assert re.fullmatch(r"[a-z0-9]{33,48}", make_key(key, SECRET))


def test_the_largest_delivery_has_48_characters() -> None:
    largest = DeliveryKey(f"b_{'f' * 20}", MAX_STEP, MAX_VISIT, MAX_LINE)
    text = make_key(largest, SECRET)
    assert len(text) == LONGEST == 48
    assert read_key(text, [SECRET]) == largest


@settings(max_examples=many(500))
@given(keys, keys)
def test_never_confuses_two_deliveries(one: DeliveryKey, other: DeliveryKey) -> None:
    assert (make_key(one, SECRET) == make_key(other, SECRET)) == (one == other)


@given(keys, st.integers(0, 40))
def test_deliveries_that_differ_in_one_thing_have_different_keys(key: DeliveryKey, by: int) -> None:
    near = [key, replace(key, step=key.step ^ 1), replace(key, visit=key.visit ^ 1), replace(key, line=key.line ^ 1)]
    near += [replace(key, visit=by, line=at) for by, at in ((1, 11), (11, 1), (32, 1), (1, 33), (33, 0))]
    assert len({make_key(each, SECRET) for each in near}) == len(set(near))


def _change(at: int, to: str) -> Callable[[str], str]:
    return lambda text: text[: at % len(text)] + to + text[at % len(text) + 1 :]


@settings(max_examples=many(500))
@given(keys, st.integers(0, 47), st.sampled_from(_DIGITS + "wxyz-_ +\0é٣"))
def test_a_changed_character_leads_nowhere(key: DeliveryKey, at: int, to: str) -> None:
    text = make_key(key, SECRET)
    changed = _change(at, to)(text)
    assert (read_key(changed, [SECRET]) is None) == (changed != text)


@settings(max_examples=many(500))
@given(keys, st.integers(0, 5 * 48 - 1))
def test_a_flipped_bit_leads_nowhere(key: DeliveryKey, bit: int) -> None:
    text = make_key(key, SECRET)
    at = (bit // 5) % len(text)
    flipped = _DIGITS[_DIGITS.index(text[at]) ^ 1 << bit % 5]
    assert read_key(_change(at, flipped)(text), [SECRET]) is None


@given(keys, st.integers(1, 47), st.text(_DIGITS, min_size=1, max_size=20))
def test_a_cut_or_lengthened_key_leads_nowhere(key: DeliveryKey, length: int, more: str) -> None:
    text = make_key(key, SECRET)
    odd = {text[:length], text[length:], more + text, text + more, f" {text}", f"{text}\n", f"{text}="} - {text}
    assert {read_key(each, [SECRET]) for each in odd} == {None}


@given(st.text() | st.text(_DIGITS, min_size=33, max_size=48).map(lambda text: "1" + text[1:]))
def test_what_was_not_signed_leads_nowhere(text: str) -> None:
    assert read_key(text, [SECRET]) is None


@given(keys, secrets, secrets)
def test_a_key_of_an_old_secret_is_read_as_long_as_that_is_known(key: DeliveryKey, old: bytes, new: bytes) -> None:
    text = make_key(key, old)
    assert read_key(text, [new, old]) == key
    assert read_key(text, []) is None
    # HMAC fills short secrets up with zeros (RFC 2104 §2), so those that differ in these alone are one.
    if old.rstrip(b"\0") != new.rstrip(b"\0"):
        assert read_key(text, [new]) is None


@pytest.mark.parametrize(
    "key",
    [
        DeliveryKey("b1", 0, 0, 1),
        DeliveryKey("b_0123456789ABCDEF0123", 0, 0, 1),
        DeliveryKey("b_0123456789abcdef0123", -1, 0, 1),
        DeliveryKey("b_0123456789abcdef0123", MAX_STEP + 1, 0, 1),
        DeliveryKey("b_0123456789abcdef0123", 0, MAX_VISIT + 1, 1),
        DeliveryKey("b_0123456789abcdef0123", 0, 0, MAX_LINE + 1),
        DeliveryKey("b_0123456789abcdef0123", 0, 0, -1),
    ],
)
def test_what_does_not_fit_is_refused_and_not_cut(key: DeliveryKey) -> None:
    with pytest.raises(ValueError, match="can't be written"):
        make_key(key, SECRET)


def test_every_batch_and_every_step_of_a_journey_fits() -> None:
    key = DeliveryKey(new_batch_id(), MAX_STEPS - 1, 0, 1)
    assert read_key(make_key(key, SECRET), [SECRET]) == key
