"""`script/screenshots`: start a system, make contacts and batches, and take pictures of the console."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.acceptance.browsing import PASSWORD, Reader, chromium, chromium_path, reader
from tests.acceptance.conftest import up
from tests.acceptance.screenshots.pictures import pictures, take, take_shown
from tests.acceptance.screenshots.scene import build

_DOCUMENTATION = Path("docs/images")


def main() -> int:
    """Take the pictures; 0 if all were taken."""
    options = _options()
    if chromium_path() is None:
        print("No picture was taken: there is no Chromium on this machine.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="caravan-screenshots-") as name:
        return _run(options, Path(name))


def _options() -> argparse.Namespace:
    asked = argparse.ArgumentParser(prog="script/screenshots", description=__doc__)
    asked.add_argument(
        "folder",
        type=Path,
        nargs="?",
        help="for each page at 1440 and 390 pixels, light and dark; without it those of docs/images are taken anew",
    )
    asked.add_argument("--only", nargs="+", default=(), help="names of pages, like `batch editor`, and no others")
    return asked.parse_args()


def _run(options: argparse.Namespace, scratch: Path) -> int:
    folder = options.folder or _DOCUMENTATION
    folder.mkdir(parents=True, exist_ok=True)
    with (
        chromium() as browser,
        up(scratch / "system", DOWNLOAD_ALLOW_PRIVATE="true", COHORT_SIZE="1000") as running,
        running.client() as client,
    ):
        scene = build(client, scratch, running.url)
        with reader(browser, running.url) as person:
            person.enter(running)

        def sign_in(person: Reader) -> None:
            person.sign_in(running.told["console"].rpartition(" ")[2], PASSWORD)
            person.page.get_by_role("heading", name="Batches").wait_for()

        known = pictures(running.told["customer"], scene)
        wanted = [each for each in known if not options.only or each.name in options.only]
        if options.folder is None:
            taken = take_shown(browser, running.url, sign_in, known, folder)
        else:
            taken = take(browser, running.url, sign_in, wanted, folder)
        for file in taken:
            print(file, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
