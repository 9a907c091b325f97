"""Filters of contacts: none is missed, and few are taken for one that is there."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from caravan.store.contact_filters import build


def may_have(blocks: int, bits: bytes, hashed: int) -> bool:
    """What the query does."""
    mixed = (hashed * 0x9E3779B97F4A7C15 % 2**64) >> 16
    block = int.from_bytes(bits[mixed % blocks * 64 :][:64], "little")
    return all(block >> (hashed >> shift) % 512 & 1 for shift in range(0, 54, 9))


@given(st.lists(st.integers(0, 2**64 - 1), max_size=300))
def test_everybody_who_is_there_is_found(hashes: list[int]) -> None:
    made = build(np.array(hashes, np.uint64))
    assert len(made.bits) == made.blocks * 64
    assert all(may_have(made.blocks, made.bits, each) for each in hashes)


def test_few_others_are_taken_for_one_who_is_there() -> None:
    hashes = np.random.default_rng(7).integers(0, 2**64, 100_000, np.uint64)
    made = build(hashes[:65_536])
    found = sum(may_have(made.blocks, made.bits, int(each)) for each in hashes[65_536:])
    assert found < 0.004 * (len(hashes) - 65_536)
    assert len(made.bits) < 120_000
