"""Users whose customers go."""

from caravan.access.users import Role, add_user, users_of
from caravan.engine.removal import remove_customer
from caravan.store.customers import add_customer
from tests.integration.conftest import System


async def test_a_customer_takes_with_it_the_users_that_have_no_other(idle_system: System) -> None:
    engine, customer = idle_system.engine, idle_system.customer
    async with engine.pool.connection() as connection:
        other = await add_customer(connection, "other", idle_system.clock.now())
        await add_user(connection, "anna@example.com", customer, Role.OWNER)
        await add_user(connection, "ben@example.com", customer, Role.OWNER)
        await add_user(connection, "ben@example.com", other, Role.VIEWER)
    await remove_customer(engine, customer)
    async with engine.pool.connection() as connection:
        left = [(each.email, each.customer, each.role) for each in await users_of(connection, None)]
        (accounts,) = await (await connection.execute("select count(*) as count from users")).fetchall()
    assert left == [("ben@example.com", other, Role.VIEWER)]
    assert accounts["count"] == 1
