"""What Caravan writes is about people, and readable by its own system user alone."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.conftest import BackgroundSandbox, caravan, until, up
from tests.integration.journeys_for_tests import MAIL, contacts

ROOT = Path(__file__).parents[2]


def _open_to_others(folder: Path) -> list[str]:
    """What lies in a folder, and the folder, that its owner shares with anybody."""
    found = [folder, *folder.rglob("*")]
    modes = {}
    for path in found:
        try:
            modes[path] = path.lstat()
        except FileNotFoundError:  # a file of PostgreSQL that came and went
            continue
    return [
        f"{stat.filemode(each.st_mode)} {path.relative_to(folder.parent)}"
        for path, each in modes.items()
        if each.st_mode & 0o077 and not stat.S_ISLNK(each.st_mode)
    ]


def test_nothing_in_the_data_folder_is_for_others_during_and_after_a_run(
    folder: Path, tmp_path: Path, mails: BackgroundSandbox
) -> None:
    file = tmp_path / "contacts.ndjson"
    file.write_bytes(contacts(2_000) + b"nonsense\n")
    before = os.umask(0o022)
    try:
        with up(folder, SMTP_URL=mails.url) as running, running.client() as client:
            client.publish(1, MAIL)
            batch = client.start_file(1, file).batch
            until(lambda: len(mails.recipients) > 100, pause=0.01)
            assert _open_to_others(folder) == []  # with traces, windows and parts of files under way
            until(lambda: client.batch(batch)["finishedAt"])
            assert list(folder.rglob("*.parquet"))
            assert _open_to_others(folder) == []
        assert _open_to_others(folder) == []
    finally:
        os.umask(before)


def test_a_folder_that_was_open_is_closed(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    assert caravan(folder, "migrate").returncode == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lets PostgreSQL run as another user")
def test_the_folders_above_a_data_folder_of_roots_can_be_passed_and_not_listed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    done = caravan(home / "deep" / "data", "migrate")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(home.stat().st_mode) == 0o701
    assert stat.S_IMODE((home / "deep").stat().st_mode) == 0o701


def test_git_ignores_the_data_folder_of_the_readmes_example() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "--data ./caravan-data" in readme
    ignored = subprocess.run(["git", "check-ignore", "-q", "caravan-data/files/x"], cwd=ROOT)
    assert ignored.returncode == 0
