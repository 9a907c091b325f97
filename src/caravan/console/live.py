"""The one stream of a page: server-sent events with the finished HTML of what has changed."""

import asyncio
import json
from collections.abc import AsyncIterator

from caravan.console.page import Fragments
from caravan.errors import CaravanError

_LIFE = 120.0  # seconds after which a stream ends, and the page comes again: its session may have ended
_SILENCE = 10.0  # seconds after which a comment comes, to keep the connection alive


async def stream_of(found: AsyncIterator[Fragments]) -> AsyncIterator[str]:
    """Events of a page's fragments: `fragments` carries {id: HTML} of those that are new, and `end` says that nothing
    will change any more. A stream that just ends is to be opened again."""
    told: dict[str, str] = {}
    loop = asyncio.get_running_loop()
    begun = last = loop.time()
    try:
        async for fragments in found:
            changed = {key: html for key, html in fragments.items() if told.get(key) != html}
            now = loop.time()
            if changed:
                told.update(changed)
                last = now
                yield f"event: fragments\ndata: {json.dumps(changed, ensure_ascii=False)}\n\n"
            elif now - last >= _SILENCE:
                last = now
                yield ": nothing new\n\n"
            if now - begun >= _LIFE:
                return
    except CaravanError:  # it is not there any more; the page says so when it is opened again
        return
    yield "event: end\ndata: {}\n\n"
