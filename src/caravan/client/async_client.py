"""The client for programs with an event loop: the calls of `Client`, run so that the loop goes on while they wait."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from caravan.client.answers import Started, Uploaded
from caravan.client.bridge import awaited, each, from_loop, in_threads, run
from caravan.client.client import Client
from caravan.client.rows import Row, RowProgress
from caravan.client.starting import Progress, Source
from caravan.client.transport import Transport, check

Params = ParamSpec("Params")
Got = TypeVar("Got")
AsyncSource = Source | AsyncIterable[Row] | Callable[[], AsyncIterable[Row]]


class _LoopTransport(Transport):
    """Calls for which only the code that makes them waits; what is sent is asked for in threads."""

    def __init__(self, url: str, customer: int, token: str, timeout: float) -> None:
        super().__init__(url, customer, token)
        self._http = httpx.AsyncClient(timeout=timeout, headers=self._token)

    def close(self) -> None:
        awaited(self._http.aclose())

    def _request(self, method: str, url: str, **options: Any) -> httpx.Response:
        if isinstance(options.get("content"), Iterator):
            options["content"] = in_threads(options["content"])
        return awaited(self._http.request(method, url, **options))

    def _texts(self, url: str, **options: Any) -> Iterator[str]:
        stream = self._http.stream("GET", url, **options)
        answer = awaited(stream.__aenter__())
        try:
            if not answer.is_success:
                awaited(answer.aread())
            check(answer)
            texts = answer.aiter_text()
            while (text := awaited(anext(texts, None))) is not None:
                yield text
        finally:
            awaited(stream.__aexit__(None, None, None))

    def _put(
        self, url: str, pieces: Iterator[bytes], headers: dict[str, str], timeout: httpx.Timeout
    ) -> httpx.Response:
        async def put() -> httpx.Response:
            async with httpx.AsyncClient(timeout=timeout) as plain:
                return await plain.put(url, content=in_threads(pieces), headers=headers)

        return awaited(put())


class _LoopClient(Client):
    def _connect(self, url: str, customer: int, token: str, timeout: float) -> Transport:
        return _LoopTransport(url, customer, token, timeout)


def _awaits(
    call: Callable[Concatenate[Client, Params], Got],
) -> "Callable[Concatenate[AsyncClient, Params], Awaitable[Got]]":
    """The call, to be awaited."""

    @wraps(call)
    async def made(self: "AsyncClient", /, *args: Params.args, **kwargs: Params.kwargs) -> Got:
        return await run(call, self._client, *args, **kwargs)

    return made


def _streams(
    call: Callable[Concatenate[Client, Params], Iterator[Got]],
) -> "Callable[Concatenate[AsyncClient, Params], AsyncIterator[Got]]":
    """The call, whose answers come one by one."""

    @wraps(call)
    def made(self: "AsyncClient", /, *args: Params.args, **kwargs: Params.kwargs) -> AsyncIterator[Got]:
        return each(call(self._client, *args, **kwargs))

    return made


class AsyncClient:
    """Calls of one customer, as `Client` has them: each is awaited, and those that give an iterator there are looped
    through by `async for`. A call that is cancelled ends at once. One client serves many calls at the same time.

    What is uploaded is read in threads, also the rows of an iterable, so that a slow source holds up nothing; an
    asynchronous iterable is read in the loop, in which `opened` and `progress` are called as well."""

    def __init__(self, url: str, customer: int, token: str, *, timeout: float = 60, patience: float = 60) -> None:
        self._client = _LoopClient(
            url, customer, token, timeout=timeout, patience=patience, sleep=lambda pause: awaited(asyncio.sleep(pause))
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await run(self._client.__exit__)

    # Batches

    batches = _streams(Client.batches)
    batch = _awaits(Client.batch)
    pause = _awaits(Client.pause)
    resume = _awaits(Client.resume)
    cancel = _awaits(Client.cancel)
    retry = _awaits(Client.retry)
    give_up = _awaits(Client.give_up)
    forget = _awaits(Client.forget)
    change = _awaits(Client.change)
    restart = _awaits(Client.restart)
    preflight = _awaits(Client.preflight)
    rejects = _streams(Client.rejects)
    journal = _streams(Client.journal)
    came_back = _awaits(Client.came_back)
    dead_letters = _streams(Client.dead_letters)
    replay = _awaits(Client.replay)
    returns = _streams(Client.returns)
    events = _streams(Client.events)
    wait = _awaits(Client.wait)
    wait_until_done = _awaits(Client.wait_until_done)

    # Starting

    open_upload = _awaits(Client.open_upload)
    start_url = _awaits(Client.start_url)
    commence = _awaits(Client.commence)

    @wraps(Client.upload)
    async def upload(self, upload_url: str, file: Path, progress: Progress | None = None) -> Uploaded:
        return await run(self._client.upload, upload_url, file, _in_loop(progress))

    @wraps(Client.start_file)
    async def start_file(
        self,
        journey: int,
        file: Path,
        progress: Progress | None = None,
        *,
        opened: Callable[[Started], None] | None = None,
        key: str | None = None,
        freeze_waits: bool = False,
        hold: bool = False,
        expires: str | None = None,
    ) -> Started:
        options: dict[str, Any] = {"key": key, "freeze_waits": freeze_waits, "hold": hold, "expires": expires}
        return await run(self._client.start_file, journey, file, _in_loop(progress), opened=opened, **options)

    @wraps(Client.start_batch)
    async def start_batch(
        self,
        journey: int,
        source: AsyncSource,
        *,
        id_column: str | None = None,
        progress: RowProgress | None = None,
        opened: Callable[[Started], None] | None = None,
        key: str | None = None,
        freeze_waits: bool = False,
        hold: bool = False,
        expires: str | None = None,
    ) -> Started:
        options: dict[str, Any] = {"key": key, "freeze_waits": freeze_waits, "hold": hold, "expires": expires}
        return await run(
            self._client.start_batch,
            journey,
            _plain(source),
            id_column=id_column,
            progress=_in_loop(progress),
            opened=opened,
            **options,
        )

    # Contacts and their events

    contact = _awaits(Client.contact)
    forget_contact = _awaits(Client.forget_contact)
    erasure = _awaits(Client.erasure)
    event = _awaits(Client.event)
    send_events = _awaits(Client.send_events)
    events_of = _streams(Client.events_of)
    contact_events = _streams(Client.contact_events)

    # Suppressions

    suppressions = _streams(Client.suppressions)
    suppress = _awaits(Client.suppress)
    lift = _awaits(Client.lift)
    import_suppressions = _awaits(Client.import_suppressions)
    export_suppressions = _streams(Client.export_suppressions)

    # Journeys

    publish = _awaits(Client.publish)
    send_test = _awaits(Client.send_test)
    journeys = _awaits(Client.journeys)
    definition = _awaits(Client.definition)
    source = _awaits(Client.source)
    versions = _awaits(Client.versions)
    waiting = _awaits(Client.waiting)
    move_waiting = _awaits(Client.move_waiting)
    pause_journey = _awaits(Client.pause_journey)
    resume_journey = _awaits(Client.resume_journey)
    cancel_journey = _awaits(Client.cancel_journey)

    # The customer

    channels = _awaits(Client.channels)
    set_rate = _awaits(Client.set_rate)
    end_rate = _awaits(Client.end_rate)
    set_cap = _awaits(Client.set_cap)
    end_cap = _awaits(Client.end_cap)
    audit = _streams(Client.audit)
    retention = _awaits(Client.retention)
    set_retention = _awaits(Client.set_retention)


def _plain(source: AsyncSource) -> Source:
    """The source, as one that is read in a thread."""
    loop = asyncio.get_running_loop()
    if isinstance(source, AsyncIterable):
        return from_loop(source, loop)
    if not callable(source):
        return source
    make = source

    def made() -> Iterable[Row]:
        rows = make()
        return from_loop(rows, loop) if isinstance(rows, AsyncIterable) else rows

    return made


def _in_loop(progress: Progress | None) -> Progress | None:
    """The same, called in this loop from a thread."""
    if progress is None:
        return None
    loop, told = asyncio.get_running_loop(), progress

    def tell(done: int, of: int) -> None:
        loop.call_soon_threadsafe(told, done, of)

    return tell
