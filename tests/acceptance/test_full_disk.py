"""A disk is really full: work waits and says why, and goes on by itself once there is room; nothing is lost, nothing
comes twice, and nothing is left of what broke off."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from caravan.client import CallFailed, Client
from tests.acceptance.chaos.audience import JOURNEY, Audience
from tests.acceptance.chaos.checks import check_batch, check_ledger, check_sinks
from tests.acceptance.chaos.sinks import Sinks
from tests.acceptance.conftest import until, up
from tests.disk import SmallDisk

ROWS = 2_000
FULL = "No space left on device"


@pytest.fixture
def sinks() -> Iterator[Sinks]:
    with Sinks() as opened:
        yield opened


def _settings(sinks: Sinks) -> dict[str, str]:
    return {"SMTP_URL": f"smtp://127.0.0.1:{sinks.mails.port}", "DOWNLOAD_ALLOW_PRIVATE": "true"}


def _look(client: Client, batch: str) -> dict[str, Any]:
    """The batch; nothing if PostgreSQL is away, of which a call must tell in one way only."""
    try:
        found = client.batch(batch).raw
    except CallFailed as error:
        assert error.status == 503, error
        return {}
    check_ledger(found)
    return found


def _waits(client: Client, batch: str) -> str:
    """What the batch waits for, once that is room on a disk."""

    def look() -> str | None:
        reason = _look(client, batch).get("waitingFor") or ""
        return reason if FULL in reason else None

    return str(until(look))


def _ends_well(client: Client, batch: str, audience: Audience, sinks: Sinks) -> None:
    found = until(lambda: (b := _look(client, batch)).get("finishedAt") and b)
    told = check_batch(found, (line.raw for line in client.journal(batch)), audience, sinks)
    check_sinks(sinks, told)
    assert (told.unknown, told.repeats) == (0, 0)
    assert {*sinks.mails.got.values(), *sinks.calls.got.values()} == {1}


def _files(*folders: Path) -> list[str]:
    """All but those, empty, by which a process says that a folder is its own."""
    return [str(path) for each in folders for path in each.rglob("*") if path.is_file() and path.suffix != ".lock"]


def _put(url: str, content: bytes) -> httpx.Response:
    return httpx.put(url, content=content, headers={"Content-Type": "text/plain"}, timeout=30)


def test_files_wait_for_room_at_every_stage_and_a_part_of_one_is_never_taken_for_all_of_it(
    folder: Path, tmp_path: Path, disk: Callable[[int], SmallDisk], sinks: Sinks
) -> None:
    """The store and everything that Caravan writes beside it lie on the full disk, PostgreSQL does not."""
    small, audience = disk(16), Audience(tmp_path / "contacts.ndjson", ROWS)
    audience.write()
    content = audience.path.read_bytes()
    folder.mkdir()
    for name in ("uploads", "scratch", "traces"):
        (small.seen / name).mkdir()
        (folder / name).symlink_to(small.folder / name)
    settings = {**_settings(sinks), "FILES_URL": str(small.folder / "files")}
    with up(folder, before=small.command, **settings) as running, running.client() as client:
        client.publish(1, JOURNEY.format(port=sinks.calls.port))
        started = client.open_upload(1)
        for leave in (0, len(content) - 5_000):  # the second takes all but the end of the file
            small.fill(leave)
            answer = _put(started.upload_url, content)
            assert (answer.status_code, FULL in answer.json()["detail"]) == (503, True), answer.text
            assert not _files(small.seen / "files", small.seen / "uploads")
            assert client.batch(started.batch).raw["state"] == "awaiting_upload"
            small.clear()
        assert _put(started.upload_url, content).status_code == 200
        small.fill()
        assert "goes on by itself" in _waits(client, started.batch)
        small.clear()
        until(lambda: sinks.mails.got.total() > 200, pause=0.01)
        small.fill()
        assert "goes on by itself" in _waits(client, started.batch)
        small.clear()
        _ends_well(client, started.batch, audience, sinks)
        assert not _files(*(small.seen / name for name in ("uploads", "scratch", "traces")))
        assert not [each for each in _files(small.seen / "files") if each.endswith(".part")]


def test_a_postgres_that_ends_because_the_disk_is_full_is_there_again_once_there_is_room(
    tmp_path: Path, disk: Callable[[int], SmallDisk], sinks: Sinks
) -> None:
    """Everything is on one disk, also the log of `caravan up`."""
    small, audience = disk(192), Audience(tmp_path / "contacts.ndjson", ROWS)
    audience.write()
    log = small.seen / "log"
    with (
        log.open("a") as said,
        up(small.folder / "data", before=small.command, log=said, **_settings(sinks)) as running,
        running.client() as client,
    ):
        client.publish(1, JOURNEY.format(port=sinks.calls.port))
        batch = client.start_file(1, audience.path).batch
        until(lambda: sinks.mails.got.total() > 200, pause=0.01)
        small.fill(leave=2_000)  # enough to say what happened
        _use_up_the_write_ahead_log(small)
        until(lambda: "its disk is full" in log.read_text())
        assert log.read_text().count("its disk is full") == 1
        assert log.stat().st_size < 20_000
        assert running.process.poll() is None
        small.clear()
        _ends_well(client, batch, audience, sinks)


def _use_up_the_write_ahead_log(small: SmallDisk) -> None:
    """What much work would do in the end."""
    url = f"postgresql://postgres@/postgres?host={small.seen}/data/postgres"
    with psycopg.connect(url) as connection, pytest.raises(psycopg.OperationalError):
        for _ in range(64):
            connection.execute("select pg_logical_emit_message(true, 'much', repeat(md5('work'), 30000))")
            connection.commit()
