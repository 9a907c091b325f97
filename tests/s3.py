"""An S3 on a port of this machine: moto over HTTP, which tests can also let fail as real ones do."""

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(slots=True)
class Mood:
    """How the store answers: the next `errors` requests with `status`, the next `cuts` GETs only by half."""

    errors: int = 0
    status: int = 503
    code: str = "InternalError"
    cuts: int = 0
    pause: float = 0  # seconds before each answer
    methods: tuple[str, ...] = ("GET", "PUT", "POST", "DELETE", "HEAD")
    asked: list[str] = field(default_factory=list)


class S3:
    """A running store, and a bucket in it."""

    def __init__(self) -> None:
        self.mood = Mood()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, True, request_handler=MotoRequestHandler)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        session = boto3.Session("test", "test", region_name="us-east-1")
        self.client = session.client("s3", endpoint_url=self.endpoint)

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

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        mood, method = self.mood, environ["REQUEST_METHOD"]
        mood.asked.append(f"{method} {environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}")
        time.sleep(mood.pause)
        if mood.errors > 0 and method in mood.methods:
            mood.errors -= 1
            _read_all(environ)
            start(f"{mood.status} Trouble", [("Content-Type", "application/xml")])
            return [f"<Error><Code>{mood.code}</Code><Message>we are in trouble</Message></Error>".encode()]
        answer = self._moto(environ, start)
        if mood.cuts > 0 and method == "GET" and environ["PATH_INFO"].count("/") > 2:
            mood.cuts -= 1
            return _first_half(answer)
        return answer


def _read_all(environ: dict[str, Any]) -> None:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


def _first_half(answer: Iterable[bytes]) -> Iterator[bytes]:
    content = b"".join(answer)
    yield content[: len(content) // 2]
