"""The one stream of a page: server-sent events with the finished HTML of what has changed."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from caravan.console.page import Fragments
from caravan.errors import CaravanError

_LIFE = 120.0  # seconds after which a stream ends, and the page comes again, perhaps to another process
_SILENCE = 10.0  # seconds after which a comment comes, to keep the connection alive


async def stream_of(found: AsyncIterator[Fragments], ended: asyncio.Event) -> AsyncIterator[str]:
    """Events of a page's fragments: `fragments` carries {id: HTML} of those that are new, and `end` says that nothing
    will change any more. A stream that just ends is to be opened again; so does one whose session has `ended`."""
    told: dict[str, str] = {}
    loop = asyncio.get_running_loop()
    begun = last = loop.time()
    try:
        async with aclosing(_until(found, ended)) as fresh:
            async for fragments in fresh:
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
    if not ended.is_set():
        yield "event: end\ndata: {}\n\n"


async def _until(found: AsyncIterator[Fragments], ended: asyncio.Event) -> AsyncGenerator[Fragments, None]:
    """The fragments until the event, also while there are none. What finds them is over with it, not some time later:
    it holds a poller."""
    over = asyncio.create_task(ended.wait())
    try:
        while True:
            following = asyncio.ensure_future(anext(found))
            try:
                await asyncio.wait({following, over}, return_when=asyncio.FIRST_COMPLETED)
                if over.done():
                    return
                yield following.result()
            except StopAsyncIteration:
                return
            finally:
                following.cancel()
                await asyncio.wait({following})
    finally:
        over.cancel()
        if isinstance(found, AsyncGenerator):
            await found.aclose()
