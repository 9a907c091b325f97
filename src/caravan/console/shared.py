"""Fragments that are rendered once for all who watch the same thing with the same rights."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from caravan.console.page import Fragments

_KEPT = 256  # things whose fragments are kept
Make = Callable[[], Awaitable[Fragments]]


class Shared:
    """The newest fragments of what is watched in this process, each made from a value that all watchers got."""

    def __init__(self) -> None:
        self._made: OrderedDict[Hashable, tuple[object, asyncio.Task[Fragments]]] = OrderedDict()

    async def of(self, key: Hashable, value: object, make: Make) -> Fragments:
        """What `make` makes of the value: made by the first who asks for it under this key, and got by all others. A
        watcher that goes away meanwhile takes it from nobody."""
        found = self._made.get(key)
        if found is None or found[0] is not value:
            found = self._made[key] = (value, asyncio.ensure_future(_made(make)))
            self._made.move_to_end(key)
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return await asyncio.shield(found[1])


async def _made(make: Make) -> Fragments:
    return await make()
