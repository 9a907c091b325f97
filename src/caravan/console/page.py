"""What a page is: its path, what it shows, what its form does, and the fragments that keep it live."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.responses import Response

from caravan.access.users import Role
from caravan.console.visit import Visit

Fragments = Mapping[str, str]  # {id of an element: the whole element as HTML}


@dataclass(frozen=True, slots=True)
class Page:
    """One page, in a file of its own in `pages/`, which names it `PAGE`.

    `path` is below /console, with `{customer:int}` where it belongs to a customer: who has no role there is told that
    there is no such page. `submit` serves the page's forms, for those whose role allows `submit_needs`. `live` gives
    fragments of the page as they change, from now on; which of them did change is found out for it. `menu` is the
    page's word in the menu of all pages, at `menu_place` from the left.
    """

    path: str
    show: Callable[[Visit], Awaitable[Response]]
    submit: Callable[[Visit], Awaitable[Response]] | None = None
    submit_needs: Role = Role.EDITOR
    live: Callable[[Visit], Awaitable[AsyncIterator[Fragments]]] | None = None
    is_open: bool = False  # also to those who have not signed in
    menu: str | None = None
    menu_place: int = 0
    is_own: bool = False  # about the visitor's own account: also with a password that must be changed first
