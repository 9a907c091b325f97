"""A web server whose every answer is scripted, down to where it breaks off."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

CONTENT = b"".join(b'{"id": "%d", "properties": {"firstname": "Bruce"}}\n' % n for n in range(5000))
Answer = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


class Request:
    """What a client asked: the path with its query, and the headers in lower case."""

    def __init__(self, head: bytes) -> None:
        first, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.method, self.target, _ = first.split(" ")
        self.headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in rest)}


class Origin:
    """A web server that answers its n-th request by the n-th of `answers`, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = Request(await reader.readuntil(b"\r\n\r\n"))
            self.requests.append(request)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            await answer(request, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def running(origin: Origin, host: str = "127.0.0.1", port: int = 0, limit: int = 1 << 16) -> AsyncIterator[str]:
    tasks = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        await origin.serve(reader, writer)

    server = await asyncio.start_server(serve, host, port, limit=limit)
    try:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def says(status: str, body: bytes = b"", length: int | None = None, **headers: str) -> Answer:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)

    return answer


def breaks_after(count: int, **headers: str) -> Answer:
    return says("200 OK", CONTENT[:count], len(CONTENT), **headers)


def rest_of(content: bytes = CONTENT, **headers: str) -> Answer:
    """Serves a range as asked."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        start = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        await says("206 Partial Content", content[start:], Content_Range=span, **headers)(request, writer)

    return answer


whole = says("200 OK", CONTENT)
