"""Commands that change something enter it into the audit log."""

import asyncio

import pytest
from typer.testing import CliRunner

from caravan.access.audit import ActorKind, Filter, entries
from caravan.cli.commands import app
from tests.integration.conftest import System


async def run(system: System, *arguments: str) -> str:
    """The output of a command on the system's database."""
    done = await asyncio.to_thread(CliRunner().invoke, app, [*arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


async def test_a_pace_a_cleared_sandbox_and_a_retention_are_in_the_log(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, customer = idle_system.engine.settings, str(idle_system.customer)
    monkeypatch.setenv("CARAVAN_DATABASE_URL", settings.database_url or "")
    monkeypatch.setenv("CARAVAN_DATA", str(settings.folder))
    await run(idle_system, "channels", "rate", "email", "200/s", "--customer", customer)
    await run(idle_system, "channels", "rate", "email", "off", "--customer", customer)
    await run(idle_system, "customers", "retain", customer, "--days", "9")
    await run(idle_system, "sandbox", "clear")
    async with idle_system.engine.pool.connection() as connection:
        own = await entries(connection, idle_system.customer)
        cleared = await entries(connection, None, wanted=Filter(what="clear"))
    commands = [(each.act, each.subject, each.detail) for each in own if each.actor.kind == ActorKind.COMMAND]
    assert commands == [
        ("set_retention", f"customer {customer}", {"days": 9}),
        ("rate", "channel email", None),
        ("rate", "channel email", {"perSecond": 200.0}),
    ]
    assert [(each.subject, each.detail) for each in cleared] == [("sandbox", {"messages": 0})]
