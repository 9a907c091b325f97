"""Which pages have their picture taken, and how."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, TimeoutError

from caravan.console.registry import MENU
from tests.acceptance.browsing import SIZES, Reader, reader
from tests.acceptance.screenshots.scene import CONTACT, SPRING, Scene

_TALLEST = 2400  # pixels of a picture; what is below is left out


@dataclass(frozen=True, slots=True)
class Picture:
    """One page, and what is done on it before its picture is taken."""

    name: str
    path: str
    act: Callable[[Page], None] = lambda page: None


def pictures(customer: str, scene: Scene) -> list[Picture]:
    """Each page that somebody who is signed in can come to."""
    own = f"/console/{customer}"
    running = f"{own}/batches/{scene.running}"
    menu = [Picture(f"menu-{word.lower()}", "/console" + path.replace("{customer}", customer)) for path, word in MENU]
    return [
        *menu,
        Picture("batch", running, _moving),
        Picture("batch-paused", f"{own}/batches/{scene.paused}"),
        Picture("batch-completed", f"{own}/batches/{scene.completed}"),
        Picture("batch-held", f"{own}/batches/{scene.held}"),
        Picture("recall", f"{running}/recall"),
        Picture("rejects", f"{running}/rejects"),
        Picture("failures", f"{running}/failures"),
        Picture("dead-letters", f"{own}/batches/{scene.untold}/dead-letters"),
        Picture("replay", f"{own}/batches/{scene.untold}/replay?step=tell_loyalty"),
        Picture("restart", f"{running}/restart?outcome=failed"),
        Picture("forget", f"{own}/batches/{scene.completed}/forget"),
        Picture("new", f"{own}/new"),
        Picture("preflight", f"{own}/new/{scene.held}", _reviewed),
        Picture("contact", f"{own}/contacts?id={CONTACT}"),
        Picture("contact-once", f"{own}/contacts?id={scene.reached}"),
        Picture("contact-unknown", f"{own}/contacts?id=nobody"),
        Picture("editor", f"{own}/journeys/{SPRING}/edit"),
        Picture("editor-preview", f"{own}/journeys/{SPRING}/edit", _previewed),
        Picture("publish", f"{own}/journeys/{SPRING}/edit", _changed),
        Picture("journey", f"{own}/journeys/{SPRING}"),
        Picture("journey-recall", f"{own}/journeys/{SPRING}/recall"),
        Picture("journey-new", f"{own}/journeys/new"),
        Picture("settings-confirm", f"{own}/settings/confirm?act=reset&of=anna@example.com"),
        Picture("settings-retention", f"{own}/settings/retention?days=90"),
        Picture("audit", f"{own}/settings/audit"),
        Picture("sandbox", f"{own}/sandbox"),
        Picture("mail", f"{own}/sandbox", _opened),
        Picture("mail-headers", f"{own}/sandbox", _its_headers),
        Picture("sandbox-clear", "/console/sandbox/clear"),
        Picture("system", "/console/system"),
        Picture("password", "/console/password"),
        Picture("not-found", f"{own}/nothing"),
    ]


def _moving(page: Page) -> None:
    """Until the page tells the rate; without it if nothing moves any more."""
    left = page.locator(".figure", has_text="Time left").get_by_text(re.compile(r"\d (s|min)$"))
    with suppress(TimeoutError):
        left.wait_for(timeout=5_000)


def _reviewed(page: Page) -> None:
    page.get_by_role("heading", name="The first contacts").wait_for()


def _previewed(page: Page) -> None:
    page.get_by_label("Id of a contact").fill(CONTACT)
    page.get_by_role("button", name="Use this contact").click()
    page.frame_locator("iframe").first.get_by_role("heading").wait_for()


def _changed(page: Page) -> None:
    text = page.get_by_label("Definition")
    text.fill(
        text.input_value().replace("wait: 3 days", "wait: 5 days").replace("Spring is here", "The spring is here")
    )
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("button", name="Confirm").wait_for()


def _opened(page: Page) -> None:
    page.get_by_role("row").nth(1).get_by_role("link").first.click()
    page.frame_locator("iframe").first.get_by_role("heading").wait_for()


def _its_headers(page: Page) -> None:
    _opened(page)
    page.get_by_role("link", name="Headers").click()
    page.get_by_text("Message-ID").first.wait_for()


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of the documentation: which, how it is taken, and how much of it from the top."""

    file: str
    picture: str
    height: int
    size: str = "desktop"
    dark: bool = False


SHOWN = (
    Shown("batches", "menu-batches", 620),
    Shown("batch", "batch", 1590),
    Shown("batch-phone", "batch", 1150, "phone", dark=True),
    Shown("preflight", "preflight", 1020),
    Shown("recall", "recall", 480),
    Shown("rejects", "rejects", 720),
    Shown("dead-letters", "dead-letters", 640),
    Shown("contact", "contact-once", 1150),
    Shown("editor", "editor", 860),
    Shown("publish", "publish", 620),
)


def take(
    browser: Browser, base: str, sign_in: Callable[[Reader], None], wanted: list[Picture], folder: Path
) -> Iterator[Path]:
    """Take each picture in each size, light and dark; yield each file."""
    for size, dark in product(SIZES, (False, True)):
        with reader(browser, base, dark=dark, size=size) as person:
            end = f"{SIZES[size][0]}-{'dark' if dark else 'light'}.png"
            person.go("/console/login")
            yield _shoot(person.page, folder / f"login-{end}")
            sign_in(person)
            for each in wanted:
                yield _take(person, each, folder / f"{each.name}-{end}")


def take_shown(
    browser: Browser, base: str, sign_in: Callable[[Reader], None], known: list[Picture], folder: Path
) -> Iterator[Path]:
    """Take the pictures that the documentation shows; yield each file."""
    named = {each.name: each for each in known}
    for shown in SHOWN:
        with reader(browser, base, dark=shown.dark, size=shown.size) as person:
            sign_in(person)
            yield _take(person, named[shown.picture], folder / f"{shown.file}.png", shown.height)


def _take(person: Reader, picture: Picture, file: Path, tallest: int = _TALLEST) -> Path:
    person.page.goto(person.base + picture.path, wait_until="load")
    picture.act(person.page)
    return _shoot(person.page, file, tallest)


def _shoot(page: Page, file: Path, tallest: int = _TALLEST) -> Path:
    """Take a picture of the page from its top, as tall as it is but no taller than this."""
    size = page.viewport_size
    assert size is not None
    tall = min(tallest, max(size["height"], page.evaluate("document.documentElement.scrollHeight")))
    page.set_viewport_size({"width": size["width"], "height": tall})
    page.wait_for_timeout(500)  # frames that load once they are seen, and bars that are still growing
    page.screenshot(path=file, animations="disabled")
    page.set_viewport_size(size)
    _shrink(file)
    return file


def _shrink(file: Path) -> None:
    """Write a picture with a palette: a third of its size, and nobody sees the difference."""
    with Image.open(file) as picture:
        made = picture.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    made.save(file, optimize=True)
