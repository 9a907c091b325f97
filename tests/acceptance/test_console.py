"""The console as a person uses it: in a real browser, at a running system."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.acceptance.browsing import Balancer, Reader, reader
from tests.acceptance.conftest import Up, environment, until, up
from tests.integration.journeys_for_tests import SPRING, WAIT, contacts

JOURNEY = 1


@pytest.fixture(scope="module")
def running(console: Up) -> Up:
    with console.client() as client:
        client.publish(JOURNEY, SPRING)
    return console


def _start(running: Up, count: int = 200) -> str:
    file = running.folder.parent / "contacts.ndjson"
    file.write_bytes(contacts(count))
    with running.client() as client:
        batch = client.start_file(JOURNEY, file).batch
        until(lambda: client.batch(batch).ledger.entered == count)
    return batch


def test_a_batch_is_watched_paused_and_recalled_without_a_shell(browser: Browser, running: Up) -> None:
    batch = _start(running)
    with reader(browser, running.url) as person:
        person.enter(running)
        person.page.get_by_role("link", name=batch).click()
        person.press("Pause")
        person.page.locator("#summary .badge.paused").wait_for()
        person.press("Resume")
        person.page.locator("#summary .badge.running").wait_for()
        person.press("Recall")
        person.sees("200")
        person.press("Confirm")
        person.page.locator("#summary .badge.cancelled").wait_for()
        assert person.complaints == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_page_shuts_anybody_out(browser: Browser, running: Up, dark: bool) -> None:
    """axe-core finds nothing serious; nothing overflows a phone; the browser refuses nothing that a page asks for."""
    batch = _start(running)
    with running.client() as client:
        until(lambda: client.batch(batch).ledger.outcomes().get("sent"))
        client.publish(JOURNEY, SPRING.replace("3 days", "4 days"))
    customer = running.told["customer"]
    with reader(browser, running.url, dark=dark) as person:
        person.go("/console/login")
        faults = {"login": person.faults(of_colours=dark)}
        person.enter(running)
        for path in _paths(customer, batch):
            person.page.set_viewport_size({"width": 1440, "height": 900})
            person.go(path)
            person.page.locator("h1").first.wait_for()
            faults[path] = person.faults(of_colours=dark)  # all else is the same in the dark
            person.page.set_viewport_size({"width": 390, "height": 844})
            width = person.page.evaluate("document.documentElement.scrollWidth")
            faults[path] += [f"is {width} px wide on a phone"] if width > 390 else []
        assert {path: found for path, found in faults.items() if found} == {}
        assert person.complaints == []


def _paths(customer: str, batch: str) -> list[str]:
    own = f"/console/{customer}"
    journey = f"{own}/journeys/{JOURNEY}"
    return [
        f"{own}/batches",
        f"{own}/batches/{batch}",
        f"{own}/batches/{batch}/recall",
        f"{own}/batches/{batch}/rejects",
        f"{own}/batches/{batch}/failures",
        f"{own}/new",
        f"{own}/journeys",
        f"{journey}?from=1&to=2",
        f"{journey}/recall",
        f"{own}/contacts",
        f"{own}/contacts?id=1",
        f"{own}/channels",
        f"{own}/suppressions",
        f"{own}/settings",
        f"{own}/settings/retention?days=9",
        f"{own}/settings/audit",
        f"{own}/sandbox",
        "/console/sandbox",
        "/console/sandbox/1",
        "/console/sandbox/1?view=headers",
        "/console/sandbox/clear",
        "/console/system",
        "/console/password",
    ]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


@contextmanager
def _serve(folder: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """One more API process on the folder of a running system."""
    command = [sys.executable, "-m", "caravan", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment(folder)) as process:
        try:
            until(lambda: _answers(f"http://127.0.0.1:{port}/healthz"))
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def _live(person: Reader) -> None:
    person.page.locator('live-fragments[data-state="live"]').wait_for()


def test_an_open_page_goes_on_when_its_api_is_killed(browser: Browser, folder: Path) -> None:
    """Two API processes stand behind a balancer; the page's stream is at one of them, which dies."""
    first, second = _free_port(), _free_port()
    with up(folder) as running, running.client() as client, _serve(folder, first) as one, _serve(folder, second):
        client.publish(JOURNEY, WAIT)
        batch = _start(running)
        balancer = Balancer(first, second)
        try:
            with reader(browser, f"http://127.0.0.1:{balancer.port}") as person:
                person.enter(running)
                person.go(f"/console/{running.told['customer']}/batches/{batch}")
                _live(person)
                one.kill()
                one.wait()
                client.pause(batch)
                person.page.locator("#summary .badge.paused").wait_for()
                person.sees("until it is resumed")  # what stands behind a moment that came anew
                client.resume(batch)
                person.page.locator("#summary .badge.running").wait_for()
                _live(person)
        finally:
            balancer.close()
