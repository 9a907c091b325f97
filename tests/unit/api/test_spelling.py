"""Misspelt members of a call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.api.batchtrigger import Trigger
from caravan.api.spelling import check_members
from caravan.errors import InvalidInput


@given(st.sampled_from(["entityId", "downloadUrl", "options", "type"]), st.data())
def test_every_slip_of_one_letter_is_known_as_one(good: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(good) - 1))
    letter = data.draw(st.sampled_from("abcxyzXYZ"))
    slips = [good[:at] + good[at + 1 :], good[:at] + letter + good[at:], good[:at] + letter + good[at + 1 :]]
    if at:
        slips.append(good[: at - 1] + good[at] + good[at - 1] + good[at + 1 :])
    for slip in slips:
        if slip != good:
            with pytest.raises(InvalidInput, match=f"did you mean {good}"):
                check_members({slip: 1}, Trigger)
