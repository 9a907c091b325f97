"""A real browser at the console: Debian's Chromium without a window, led by Playwright."""

import asyncio
import shutil
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, sync_playwright

from tests.acceptance.conftest import Up

PASSWORD = "nine horses, ten batteries"
NO_BROWSER = "there is no Chromium on this machine, so the console's browser tests did not run"
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}  # width and height in CSS pixels
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SERIOUS = ("serious", "critical")  # impacts, as axe-core names them


def chromium_path() -> str | None:
    """The machine's own Chromium; None if there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; where there is none, the test counts as skipped."""
    found = chromium_path()
    if found is None:
        pytest.skip(NO_BROWSER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Reader:
    """A person at the console: one tab, and what its scripts complained about."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    requests: deque[str] = field(default_factory=lambda: deque(maxlen=40))  # the last ones, and what became of them

    def __post_init__(self) -> None:
        self.page.set_default_timeout(60_000)  # it bounds a test that hangs: this machine does much else meanwhile
        self.page.on("request", lambda each: self.requests.append(f"{each.method} {each.url}"))
        self.page.on("response", lambda each: self.requests.append(f"{each.status} {each.url}"))
        self.page.on("requestfailed", lambda each: self.requests.append(f"failed ({each.failure}) {each.url}"))
        self.page.on("console", lambda each: self.complaints.append(each.text) if each.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def go(self, path: str) -> None:
        """Open a page of the console."""
        answer = self.page.goto(self.base + path, wait_until="load")
        assert answer is not None and answer.ok, f"{path}: {answer and answer.status}"

    def press(self, name: str) -> None:
        """Press the button of this name, once the page's scripts are there."""
        self.page.wait_for_load_state()
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def sees(self, text: str) -> None:
        """Wait until the page shows this."""
        self.page.get_by_text(text).first.wait_for()

    def sign_in(self, email: str, password: str) -> None:
        """Sign in on the page for it."""
        self.go("/console/login")
        self.page.get_by_label("Email").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.press("Sign in")

    def enter(self, running: Up) -> None:
        """Sign in as the first user of a system: the first time with the password that `caravan up` printed, in place
        of which another one is chosen then."""
        _, email = running.told["console"].removeprefix("sign in at ").split(" as ")
        first = running.told["one-time password"]
        self.sign_in(email, running.password or first)
        if running.password is None:
            passwords = self.page.locator("input[type=password]")
            for place, text in enumerate((first, PASSWORD, PASSWORD)):
                passwords.nth(place).fill(text)
            self.page.locator("main button").first.click()
            running.password = PASSWORD
        self.page.get_by_role("heading", name="Batches").wait_for()

    def account(self) -> str:
        """What a failed test is understood by: the page's address and words, its complaints and last requests."""
        shown = [f"page: {self.page.url}"]
        with suppress(Error):
            shown += self.page.locator("main").inner_text(timeout=2_000).splitlines()
        return "\n".join([*shown, "complaints:", *self.complaints, "requests:", *self.requests])

    def faults(self, *, of_colours: bool = False) -> list[str]:
        """What axe-core finds serious on the page as it is: rule, what to do, and where; or only what is so because of
        its colours."""
        options = {"runOnly": ["color-contrast", "link-in-text-block"]} if of_colours else None
        found = Axe().run(self.page, options=options).response["violations"]
        return [
            f"{each['id']}: {each['help']}: {[node['target'] for node in each['nodes']][:3]}"
            for each in found
            if each["impact"] in _SERIOUS
        ]


@contextmanager
def reader(browser: Browser, base: str, *, dark: bool = False, size: str = "desktop") -> Iterator[Reader]:
    """A person with a browser of their own: no cookies of others."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        locale="en-GB",
        timezone_id="Europe/Stockholm",
    )
    person = Reader(context.new_page(), base)
    try:
        yield person
    except Exception as error:
        error.add_note(person.account())
        raise
    finally:
        context.close()


class Balancer:
    """A balancer of TCP connections that gives each to the next server that takes it."""

    def __init__(self, *ports: int) -> None:
        self._ports = list(ports)
        self._turn = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            there, back = await self._next()
            await asyncio.gather(_pump(reader, back), _pump(there, writer))

    async def _next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in self._ports:
            port = self._ports[self._turn % len(self._ports)]
            self._turn += 1
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        raise ConnectionRefusedError("no server takes connections")

    def close(self) -> None:
        """Stop, with all connections."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    finally:
        target.close()
