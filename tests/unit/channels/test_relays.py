"""By which relay mails go, and where the relays' URLs are."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from caravan.channels.choice import choose
from caravan.channels.relays import check_url_from, url_of
from caravan.errors import InvalidInput, InvalidSetting
from caravan.store.relays import NamedRelay


def relay(name: str, weight: int = 0, fallback: str | None = None, url_from: str = "env:X") -> NamedRelay:
    return NamedRelay(None, name, url_from, weight, fallback)


def stopped(*names: str) -> Callable[[str], Awaitable[bool]]:
    async def ask(key: str) -> bool:
        return key in names

    return ask


KNOWN = {each.name: each for each in (relay("a", 3, "b"), relay("b", 1), relay("c", 0, "default"), relay("d", 0, "d"))}


@pytest.mark.parametrize(
    ("wanted", "away", "taken"),
    [
        ("c", (), "c"),
        ("c", ("c",), None),
        ("c", ("c", "default"), "c"),
        ("a", ("a",), "b"),
        ("d", ("d",), "d"),
        ("default", (), None),
        (None, (), "a"),
        (None, ("a",), "b"),
        (None, ("a", "b"), "a"),
    ],
)
async def test_the_named_one_is_taken_or_what_stands_in_for_it(
    wanted: str | None, away: tuple[str, ...], taken: str | None
) -> None:
    found = await choose(KNOWN, wanted, 0, stopped(*away))
    assert (None if found is None else found.name) == taken


async def test_what_names_none_is_shared_out_by_weight() -> None:
    found = [await choose(KNOWN, None, lot, stopped()) for lot in range(400)]
    assert [sum(each is not None and each.name == name for each in found) for name in "abc"] == [300, 100, 0]
    assert await choose({"c": KNOWN["c"]}, None, 7, stopped()) is None


async def test_a_name_that_is_none_is_said_so_with_those_that_are() -> None:
    with pytest.raises(InvalidSetting, match="no relay 'x' for this customer; there are a, b, c, d, default"):
        await choose(KNOWN, "x", 0, stopped())


def test_a_url_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("smtp://u:geheim@h:25\n")
    assert url_of(relay("a", url_from="env:X"), {"X": "smtp://h"}) == "smtp://h"
    assert url_of(relay("a", url_from=f"file:{file}")) == "smtp://u:geheim@h:25"
    with pytest.raises(InvalidSetting, match="the environment has no X"):
        url_of(relay("a"), {})
    with pytest.raises(InvalidSetting, match="its file can't be read by this worker"):
        url_of(relay("a", url_from="file:/no/such"))


@pytest.mark.parametrize(
    "text", ["smtp://u:geheim@h", "env:", "env:A B", "env:X=geheim", "file:relative", "file:", "", "vault:x"]
)
def test_nothing_but_a_place_is_taken_and_what_was_given_is_not_repeated(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_url_from(text)
    assert "geheim" not in refused.value.message


def test_places_are_taken_as_they_are() -> None:
    assert check_url_from("env:MARKETING_SMTP_URL") == "env:MARKETING_SMTP_URL"
    assert check_url_from("file:/run/secrets/smtp") == "file:/run/secrets/smtp"
