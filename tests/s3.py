"""An S3 on a port of this machine: moto over HTTP, which tests can also let fail as real ones do.

`python -m tests.s3` is one in a process of its own: it says where it is, takes its moods as lines of JSON, and ends
with its input.
"""

import io
import json
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.exceptions import ClientDisconnected
from werkzeug.serving import make_server

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
Start = Callable[..., Any]
Application = Callable[[dict[str, Any], Start], Iterable[bytes]]


@dataclass(slots=True)
class Mood:
    """How the store answers: the next `errors` requests, and of the others each `every`-th, with `status`; the next
    `cuts` GETs only by half."""

    errors: int = 0
    every: int = 0
    status: int = 503
    code: str = "InternalError"
    late: bool = False  # what is answered with `status` has been done all the same
    cuts: int = 0
    pause: float = 0  # seconds before each answer
    methods: tuple[str, ...] = ("GET", "PUT", "POST", "DELETE", "HEAD")
    asked: list[str] = field(default_factory=list)

    def refuses(self, method: str) -> bool:
        """Whether the request that was noted in `asked` just now gets an error."""
        if method not in self.methods:
            return False
        if self.errors > 0:
            self.errors -= 1
            return True
        return self.every > 0 and len(self.asked) % self.every == 0


class S3:
    """A running store, and a bucket in it."""

    def __init__(self) -> None:
        self.mood = Mood()
        self._moto: Application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, True, request_handler=MotoRequestHandler)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        session = boto3.Session("test", "test", region_name="us-east-1")
        self.client = session.client("s3", endpoint_url=self.endpoint)

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def bucket(self) -> str:
        """A new bucket's name."""
        name = f"caravan-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=name)
        return name

    def keys(self, bucket: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return [each["Key"] for each in found]

    @contextmanager
    def in_mood(self, **how: Any) -> Iterator[Mood]:
        """The store answers so until the end of the block."""
        self.mood = Mood(**how)
        try:
            yield self.mood
        finally:
            self.mood = Mood()

    def close(self) -> None:
        self.client.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        mood, method = self.mood, environ["REQUEST_METHOD"]
        mood.asked.append(f"{method} {environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}")
        time.sleep(mood.pause)
        if not _has_all(environ):
            return _trouble(start, 400, "IncompleteBody")
        if mood.refuses(method):
            if mood.late:
                _exhaust(self._moto(environ, _say_nothing))
            return _trouble(start, mood.status, mood.code)
        answer = self._moto(environ, start)
        if mood.cuts > 0 and method == "GET" and environ["PATH_INFO"].count("/") > 2:
            mood.cuts -= 1
            return _first_half(answer)
        return answer


class Silent:
    """What stands still where an S3 should be: it takes connections, says `word` to whoever begins to ask, and reads
    nothing more."""

    def __init__(self, word: bytes = b"") -> None:
        self._word = word
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.taken: list[socket.socket] = []
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (self._socket, *self.taken):
            each.close()

    def _take(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.taken.append(connection)
                connection.settimeout(5)
                connection.recv(1)
                connection.sendall(self._word)


def _has_all(environ: dict[str, Any]) -> bool:
    """Read the body first: moto would keep the half of one that breaks off, which S3 does not."""
    size = int(environ.get("CONTENT_LENGTH") or 0)
    try:
        body = environ["wsgi.input"].read(size) if size else b""
    except (ClientDisconnected, ConnectionError):
        return False
    if size:
        environ["wsgi.input"] = io.BytesIO(body)
    return len(body) == size


def _trouble(start: Start, status: int, code: str) -> Iterable[bytes]:
    start(f"{status} Trouble", [("Content-Type", "application/xml")])
    return [f"<Error><Code>{code}</Code><Message>we are in trouble</Message></Error>".encode()]


def _say_nothing(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
    """What an application calls to begin an answer, where nobody is to hear it."""


def _exhaust(answer: Iterable[bytes]) -> None:
    b"".join(answer)


def _first_half(answer: Iterable[bytes]) -> Iterator[bytes]:
    content = b"".join(answer)
    yield content[: len(content) // 2]


def main() -> None:
    """Be a store until the input ends."""
    store = S3()
    print(json.dumps({"port": store.port, "bucket": store.bucket()}), flush=True)
    for line in sys.stdin:
        store.mood = Mood(**json.loads(line))
    store.close()


if __name__ == "__main__":
    main()
