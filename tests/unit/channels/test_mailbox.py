"""Addresses of an installation's own users."""

import pytest

from caravan.channels.mailbox import own_mailbox
from caravan.errors import RenderFailed


@pytest.mark.parametrize("address", ["owner@localhost", "anna@example.com", "o'neil+x@mail"])
def test_a_user_may_have_a_domain_without_a_dot(address: str) -> None:
    assert own_mailbox(address).address == address


@pytest.mark.parametrize("address", ["", "owner", "a b@localhost", "a@b@localhost", "<a@localhost", "a@local host"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(RenderFailed):
        own_mailbox(address)
