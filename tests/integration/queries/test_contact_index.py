"""A contact is found without reading the files in which it can't be."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from caravan.channels.sandbox import Sandbox
from caravan.engine import contact_index, upkeep
from caravan.settings import Settings
from tests.integration.conftest import System, open_house, working

JOURNEY = """
journey: 1
steps:
  - id: dealt
    ab: [{weight: 1, to: first}, {weight: 1, to: second}]
  - {id: first, set: {way: 1}, next: last}
  - {id: second, set: {way: 2}, next: last}
  - {id: last, wait: 3 days}
"""
COUNT = 20_000


@contextmanager
def opened(system: System, patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The files that are read in this block."""
    seen, real = list[str](), system.engine.files.local

    def local(name: str, *args: object) -> object:
        seen.append(name)
        return real(name, *args)  # type: ignore[arg-type]

    with patch.context() as changed:
        changed.setattr(type(system.engine.files), "local", staticmethod(local))
        yield seen


async def filters(system: System) -> int:
    async with system.engine.pool.connection() as connection:
        found = await (await connection.execute("select count(*) as n from contact_filters")).fetchone()
    assert found is not None
    return int(found["n"])  # type: ignore[call-overload]


async def test_only_the_files_are_read_that_can_have_the_contact(
    settings: Settings, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(settings.model_copy(update={"cohort_size": 5_000}), sandbox) as system, working(system):
        await system.publish(JOURNEY)
        rows = b"".join(b'{"id": "c%d", "properties": {"n": %d}}\n' % (each, each) for each in range(COUNT))
        batch = await system.start(rows)
        await system.until(batch, lambda found: found["ledger"]["steps"][-1]["standing"] == COUNT)
        before = [(await system.get(f"contacts/c{number}")).json() for number in range(0, COUNT, 997)]
        await upkeep.tidy(system.engine)
        assert await filters(system) == 4
        after = [(await system.get(f"contacts/c{number}")).json() for number in range(0, COUNT, 997)]
        assert after == before
        assert [stay["step"] for stay in after[3]["entries"][0]["stays"]][::2] == ["dealt", "last"]
        for number in (0, 7_777, COUNT - 1):
            with opened(system, monkeypatch) as files:
                found = (await system.get(f"contacts/c{number}")).json()
            assert [each["line"] for each in found["entries"]] == [number + 1]
            assert len(set(files)) <= 6, "its file as it entered, and those of both arms with its line"
        with opened(system, monkeypatch) as files:
            assert (await system.get("contacts/nobody")).status_code == 404
        assert files == []

        answer = await system.http.delete(system.path("contacts/c4711"))
        for _ in range(100):
            if (await system.get(f"erasures/{answer.json()['id']}")).json()["finishedAt"]:
                break
            await system.turn(seconds=6)
        assert (await system.get("contacts/c4711")).status_code == 404
        assert (await system.get("contacts/c4712")).status_code == 200

        monkeypatch.setattr(contact_index, "family_of_hashes", lambda: "another")
        monkeypatch.setattr(contact_index, "hash_of", lambda contact: 7)
        assert (await system.get("contacts/c4712")).status_code == 200, "filters of another hash say nothing"
        await upkeep.tidy(system.engine)
        await system.post(f"batches/{batch}/cancel", {})
        await system.until(batch, lambda found: found["state"] == "cancelled" and not found["waitingFor"])
        assert (await system.post(f"batches/{batch}/forget", {})).status_code == 200
        assert await filters(system) == 0
