"""Which commands make a database, and what commands say that find none, an older one, or one that refuses them."""

import re
import time
from pathlib import Path

import psycopg
import pytest

from caravan.server.embedded import embedded
from tests.acceptance.conftest import caravan, up
from tests.integration.journeys_for_tests import EXIT

USERS = [
    ["serve"],
    ["worker"],
    ["customers", "add", "Shop"],
    ["customers", "list"],
    ["customers", "retain", "1001"],
    ["customers", "remove", "1001"],
    ["tokens", "create", "--customer", "1001"],
    ["tokens", "list"],
    ["tokens", "revoke", "abc"],
    ["journeys", "apply", "journey.yaml", "--customer", "1001"],
    ["contacts", "forget", "c1", "--customer", "1001"],
]


@pytest.mark.parametrize(
    "command", [*USERS[::2], *(pytest.param(each, marks=pytest.mark.long) for each in USERS[1::2])]
)
def test_a_command_makes_no_database_and_names_the_folder_without_one(
    folder: Path, tmp_path: Path, command: list[str]
) -> None:
    (journey := tmp_path / "journey.yaml").write_text(EXIT)
    words = [str(journey) if word == "journey.yaml" else word for word in command]
    done = caravan(Path("/nonexistent"), *words, "--data", str(folder))
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"no database in the data folder {folder};" in done.stderr
    assert not folder.exists()


def test_no_command_migrates_in_passing(folder: Path, tmp_path: Path) -> None:
    journey = tmp_path / "journey.yaml"
    journey.write_text(EXIT)
    with embedded(folder, wait=True) as url:
        for command in USERS[::3]:
            words = [str(journey) if word == "journey.yaml" else word for word in command]
            done = caravan(folder, *words)
            assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done
            assert "run `caravan migrate`" in done.stderr
        with psycopg.connect(url) as connection:
            found = connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()
        assert found == (0,)
        assert caravan(folder, "migrate").returncode == 0
        assert caravan(folder, "customers", "add", "Shop").stdout == "1001\n"


WRONG = [
    ("postgresql://caravan:sesame-4711@127.0.0.1:1/caravan", "Connection refused"),
    ("postgresql://caravan:sesame-4711@nowhere.invalid/caravan", "nowhere.invalid"),
    ("mysql://caravan:sesame-4711@127.0.0.1/caravan", "is no address of a PostgreSQL"),
    ("postgresql://caravan:sesame-4711@127.0.0.1:many/caravan", "is no address of a PostgreSQL"),
]
LIST, WORKER, UP = ["customers", "list"], ["worker"], ["up", "--port", "0"]


@pytest.mark.parametrize(
    ("command", "url", "words"),
    [*((LIST, *each) for each in WRONG), (WORKER, *WRONG[0]), (WORKER, *WRONG[2]), (UP, *WRONG[0]), (UP, *WRONG[2])],
)
def test_a_wrong_database_is_one_sentence_after_seconds(folder: Path, command: list[str], url: str, words: str) -> None:
    begun = time.monotonic()
    done = caravan(folder, *command, DATABASE_URL=url, WORKERS="1")
    assert time.monotonic() - begun < 60
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert words in done.stderr
    assert "sesame" not in done.stderr + done.stdout


def test_a_user_that_postgresql_does_not_know_is_told_at_once(database: str, folder: Path) -> None:
    took = []
    for _ in range(2):
        begun = time.monotonic()
        done = caravan(folder, "customers", "list", DATABASE_URL=database.replace("postgres@", "stranger:sesame@"))
        took.append(time.monotonic() - begun)
    assert min(took) < 6  # for so long a database is waited for that may be about to start
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert 'role "stranger" does not exist' in done.stderr


def test_the_hint_of_a_second_up_works_as_it_is_printed(folder: Path, tmp_path: Path) -> None:
    with up(folder):
        pass
    with up(folder) as again:
        hint = re.search(r"A new token: caravan (.*)\n", "".join(again.said))
        assert hint is not None
        # In a shell where only --data said which folder `up` uses.
        made = caravan(tmp_path / "elsewhere", *hint[1].split())
        assert re.fullmatch(r"crv_\w+_[\w-]+\n", made.stdout), made.stderr
    assert not (tmp_path / "elsewhere").exists()
