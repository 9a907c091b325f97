"""All pages: one for each file in `pages/`, found by itself, so that adding a page is adding a file."""

import pkgutil
from importlib import import_module

from caravan.console import pages
from caravan.console.page import Page


def _found() -> list[Page]:
    modules = [import_module(f"{pages.__name__}.{each.name}") for each in pkgutil.iter_modules(pages.__path__)]
    return [module.PAGE for module in modules]


PAGES: list[Page] = _found()
MENU: list[tuple[str, str]] = [
    (page.path.replace("{customer:int}", "{customer}"), page.menu)
    for page in sorted(PAGES, key=lambda page: page.menu_place)
    if page.menu
]  # (path, word) of the pages that the menu of a customer leads to
