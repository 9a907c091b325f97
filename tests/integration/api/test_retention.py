"""For how long contacts are kept, by the API; the deletion itself is told in engine/test_retention.py."""

import pytest

from caravan.access.audit import Filter, entries
from tests.integration.conftest import System


async def test_a_customer_sets_for_how_long_its_contacts_are_kept(idle_system: System) -> None:
    system = idle_system
    installation = system.engine.settings.retention_days
    assert (await system.get("retention")).json() == {"days": installation, "own": None}
    for days, told in ((0, {"days": 0, "own": 0}), (90, {"days": 90, "own": 90})):
        answer = await system.http.put(f"/{system.customer}/retention", json={"days": days})
        assert (answer.status_code, answer.json()) == (200, told)
    back = await system.http.put(f"/{system.customer}/retention", json={"days": None})
    assert back.json() == {"days": installation, "own": None}
    async with system.engine.pool.connection() as connection:
        log = await entries(connection, system.customer, wanted=Filter(what="set_retention"))
    assert [each.detail for each in log] == [{"days": None}, {"days": 90}, {"days": 0}]


@pytest.mark.parametrize("body", [{}, {"days": -1}, {"days": 36_501}, {"days": "90"}, {"days": 1.5}, {"Days": 9}, []])
async def test_days_that_are_none_are_refused_in_a_sentence(idle_system: System, body: object) -> None:
    answer = await idle_system.http.put(f"/{idle_system.customer}/retention", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]
    assert (await idle_system.get("retention")).json()["own"] is None
