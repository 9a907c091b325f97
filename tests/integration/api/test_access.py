"""Who may call: tokens, and how long one counts that was right."""

from tests.integration.conftest import House


async def _delete_tokens(house: House) -> None:
    async with house.engine.pool.connection() as connection:
        await connection.execute("delete from tokens")


async def test_a_token_that_is_deleted_opens_its_customer_for_five_seconds_more_and_no_longer(
    idle_house: House,
) -> None:
    house = idle_house
    assert (await house.get("batches")).status_code == 200
    await _delete_tokens(house)
    await house.turn(seconds=4.9)
    assert (await house.get("batches")).status_code == 200
    await house.turn(seconds=0.2)
    assert (await house.get("batches")).status_code == 401


async def test_a_token_that_was_right_opens_no_other_customer(idle_house: House) -> None:
    house = idle_house
    assert (await house.get("batches")).status_code == 200
    assert (await house.http.get(f"/{house.customer + 1}/batches")).status_code == 401


async def test_a_token_that_is_not_known_never_becomes_right_by_asking_again(idle_house: House) -> None:
    house = idle_house
    for _ in range(2):
        answer = await house.http.get(house.path("batches"), headers={"Authorization": f"Bearer {house.token}x"})
        assert answer.status_code == 401
