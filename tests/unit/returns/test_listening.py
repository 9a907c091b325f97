"""Where bounces are taken is said by one URL; it is the same whoever starts the receiver."""

import pytest

from caravan.errors import InvalidSetting
from caravan.returns.listening import Listening
from caravan.server.bounces import run_bounces
from caravan.server.children import bounces_child
from caravan.server.leash import Leash
from caravan.settings import Settings


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("smtp://0.0.0.0", Listening(False, "0.0.0.0", 25)),
        ("lmtp://127.0.0.1:2424", Listening(True, "127.0.0.1", 2424)),
        ("LMTP://localhost", Listening(True, "localhost", 24)),
        ("smtp://[::1]:0", Listening(False, "::1", 0)),
    ],
)
def test_a_url_names_protocol_host_and_port(url: str, found: Listening) -> None:
    assert Listening.of(url) == found


@pytest.mark.parametrize(
    "url", ["", "25", "http://x", "smtp://", "smtp://x:y", "smtp://x:99999", "smtp://u:p@x", "lmtp://x/y"]
)
def test_what_names_no_place_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(InvalidSetting, match="lmtp://host:port"):
        Listening.of(url)


@pytest.mark.parametrize("given", [{}, {"bounce_domain": "b.example.com"}, {"bounce_url": "smtp://127.0.0.1"}])
def test_the_receiver_needs_a_domain_and_a_place(given: dict[str, str]) -> None:
    with pytest.raises(InvalidSetting, match="CARAVAN_BOUNCE_DOMAIN"):
        run_bounces(Settings(**given))  # type: ignore[arg-type]


def test_up_runs_it_only_where_it_is_set() -> None:
    with Leash() as leash:
        assert list(bounces_child(leash, {}, Settings())) == []
        names = [name for name, _ in bounces_child(leash, {}, Settings(bounce_url="smtp://127.0.0.1:0"))]
        assert names == ["bounces"]
