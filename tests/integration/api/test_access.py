"""Who may call: tokens, and how long one counts that was right."""

from tests.integration.conftest import System


async def _delete_tokens(system: System) -> None:
    async with system.engine.pool.connection() as connection:
        await connection.execute("delete from tokens")


async def test_a_token_that_is_deleted_opens_its_customer_for_five_seconds_more_and_no_longer(
    idle_system: System,
) -> None:
    system = idle_system
    assert (await system.get("batches")).status_code == 200
    await _delete_tokens(system)
    await system.turn(seconds=4.9)
    assert (await system.get("batches")).status_code == 200
    await system.turn(seconds=0.2)
    assert (await system.get("batches")).status_code == 401


async def test_a_token_that_was_right_opens_no_other_customer(idle_system: System) -> None:
    system = idle_system
    assert (await system.get("batches")).status_code == 200
    assert (await system.http.get(f"/{system.customer + 1}/batches")).status_code == 401


async def test_a_token_that_is_not_known_never_becomes_right_by_asking_again(idle_system: System) -> None:
    system = idle_system
    for _ in range(2):
        answer = await system.http.get(system.path("batches"), headers={"Authorization": f"Bearer {system.token}x"})
        assert answer.status_code == 401
