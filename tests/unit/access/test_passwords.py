"""Passwords and their hashes."""

import pytest

from caravan.access.passwords import _nothing, check_new, first_password, hash_password, is_password


async def test_a_password_is_known_by_its_hash_however_its_letters_are_composed() -> None:
    hashed = await hash_password("Zo\u00eb waits for the caravan")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await is_password(hashed, "Zoe\u0308 waits for the caravan")
    assert not await is_password(hashed, "zo\u00eb waits for the caravan")
    assert await hash_password("the same") != await hash_password("the same")


@pytest.mark.parametrize("password", ["", "\0", "\ud800", "x" * 100_000, "🐪"])
async def test_odd_passwords_are_wrong_ones(password: str) -> None:
    assert not await is_password(await hash_password("right"), password)
    assert not await is_password(None, password)


async def test_the_hash_for_an_unknown_user_has_the_form_of_a_real_one() -> None:
    real, dummy = await hash_password("x"), _nothing()
    assert [len(each) for each in dummy.split("$")] == [len(each) for each in real.split("$")]
    assert dummy.split("$")[:4] == real.split("$")[:4]


def test_first_passwords_are_good_ones_and_differ() -> None:
    made = {first_password() for _ in range(100)}
    assert len(made) == 100
    for each in made:
        check_new(each, "anna@example.com")
