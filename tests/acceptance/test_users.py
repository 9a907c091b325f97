"""Users as an operator makes them: by commands, beside a running system, until they can sign in."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Up, caravan, up

NEW = "nine horses, ten batteries"


@pytest.fixture(scope="module")
def running(shared_folder: Path) -> Iterator[Up]:
    with up(shared_folder) as running:
        yield running


@contextmanager
def _signed_in(running: Up, email: str, first: str) -> Iterator[httpx.Client]:
    """A browser that has signed in with a first password and chosen another one."""
    with httpx.Client(base_url=running.url, headers={"Sec-Fetch-Site": "same-origin"}) as http:
        assert http.post("/console/login", data={"email": email, "password": first}).status_code == 303
        assert http.post("/console/password", data={"old": first, "new": NEW, "again": NEW}).status_code == 303
        yield http


def test_up_tells_once_how_to_sign_in(folder: Path) -> None:
    with up(folder) as running:
        path, email = running.told["console"].removeprefix("sign in at ").split(" as ")
        with _signed_in(running, email, running.told["one-time password"]) as http:
            batches = http.get(f"/console/{running.told['customer']}/batches")
            assert (path, batches.status_code) == ("/console/", 200)
    with up(folder) as again:
        assert "one-time password" not in again.told


def test_users_are_made_listed_and_removed_by_commands(running: Up) -> None:
    folder = running.folder
    customer, email = running.told["customer"], "anna@example.com"
    made = caravan(folder, "users", "add", email, "--customer", customer, "--role", "viewer")
    assert (made.returncode, made.stdout.count("\n")) == (0, 1), made.stderr
    with _signed_in(running, email, made.stdout.strip()) as http:
        assert http.get(f"/console/{customer}/batches").status_code == 200

        again = caravan(folder, "users", "add", "Anna@Example.com", "--customer", customer, "--role", "owner")
        assert (again.returncode, again.stdout) == (0, "")
        lines = caravan(folder, "users", "list", "--customer", customer, "--json").stdout.splitlines()
        (anna,) = [each for each in map(json.loads, lines) if each["email"] == email]
        assert (anna["role"], anna["customer"], anna["operator"]) == ("owner", int(customer), False)
        assert f"{email}  {customer}  owner" in caravan(folder, "users", "list").stdout

        reset = caravan(folder, "users", "reset-password", email)
        assert http.get(f"/console/{customer}/batches").status_code == 303
    with _signed_in(running, email, reset.stdout.strip()) as http:
        assert caravan(folder, "users", "remove", email, "--customer", customer).returncode == 0
        assert http.get(f"/console/{customer}/batches").status_code == 303
    assert email not in caravan(folder, "users", "list").stdout


def test_what_can_not_be_done_is_one_sentence(running: Up) -> None:
    folder, customer = running.folder, running.told["customer"]
    for code, words, *arguments in (
        (2, "those are viewer, editor, owner", "add", "a@example.com", "--customer", customer, "--role", "boss"),
        (1, "There is no customer 99.", "add", "a@example.com", "--customer", "99", "--role", "owner"),
        (1, "is no e-mail address", "add", "anna", "--customer", customer, "--role", "owner"),
        (1, "There is no user", "remove", "a@example.com", "--customer", customer),
        (1, "can't be removed", "remove", "owner@localhost", "--customer", customer),
        (1, "There is no user", "reset-password", "a@example.com"),
    ):
        done = caravan(folder, "users", *arguments)  # type: ignore[arg-type]
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1), done.stderr
        assert words in done.stderr  # type: ignore[operator]
