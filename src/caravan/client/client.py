"""The HTTP client."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from caravan.client.patience import RetryPolicy, Sleep
from caravan.errors import CaravanError, InvalidInput

_PIECE = 1 << 20
_SILENCE = 60.0  # seconds; while a batch is followed, Caravan says something every ten
_AWAY = 503
_PASSING = (0, 408, 502, _AWAY, 504)  # no answer, and the answers of servers that are about to come back
_LONGEST_KEY = 255
Progress = Callable[[int, int], None]  # bytes sent, bytes in all
Got = TypeVar("Got")


class CallFailed(CaravanError):
    """The server refused the call, or did not answer: then `status` is 0."""

    def __init__(self, message: str, status: int = 0, *, arrived: bool = True) -> None:
        self.status = status
        self.arrived = arrived and status != _AWAY  # the call may have; else it certainly has not
        super().__init__(message)

    @property
    def passes(self) -> bool:
        """Whether the same call may succeed later."""
        return self.status in _PASSING


@dataclass(frozen=True, slots=True)
class Started:
    """A batch that was started; `upload_url` is where its file is to be PUT, if it waits for one."""

    batch: str
    upload_url: str | None = None


class Client:
    """Calls of one customer. Raises `CallFailed` with the server's own sentence, or if it does not answer within
    `timeout` seconds.

    `start_file`, `start_url` and `events` try again while there is no answer, or one that says to come back, with
    pauses that grow, of `patience` seconds in all. Everything else is tried once.
    """

    def __init__(
        self,
        url: str,
        customer: int,
        token: str,
        *,
        timeout: float = 60,
        patience: float = 60,
        sleep: Sleep = time.sleep,
    ) -> None:
        self._server = _origin(url)
        self._customer = f"{url.rstrip('/')}/{customer}"
        self._timeout, self._patience, self._sleep = timeout, patience, sleep
        self._http = httpx.Client(timeout=timeout, headers={"X-Carma-Authentication-Token": token})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def open_upload(self, journey: int, *, key: str | None = None) -> Started:
        """Start a batch whose file will be uploaded; `key` is an Idempotency-Key."""
        answer = self._post("batchtrigger/v2", {"entityId": journey}, key)
        return Started(str(answer.get("batchId", "")), str(answer["uploadUrl"]))

    def start_url(self, journey: int, download_url: str, *, key: str | None = None) -> Started:
        """Start a batch whose file the server fetches. With a `key` (an Idempotency-Key) nothing starts twice within 24
        hours, also when this is called again, on a server that knows such keys; without one, a call that may have
        arrived is not repeated."""
        body = {"entityId": journey, "downloadUrl": download_url}
        sent = key if key is not None else new_key()
        answer = self._patiently(lambda: self._post("batchtrigger/v2", body, sent), again=key is not None)
        return Started(str(answer.get("batchId", "")))

    def upload(self, upload_url: str, file: Path, progress: Progress | None = None) -> dict[str, Any]:
        """PUT a file; .gz and .zst are sent as what they are. A store that takes it itself answers nothing: {}."""
        encoding = {".gz": "gzip", ".zst": "zstd"}.get(file.suffix)
        headers = {"Content-Type": "text/plain", "Content-Length": str(file.stat().st_size)}
        if encoding:
            headers["Content-Encoding"] = encoding
        # No token: the URL is signed, and may belong to another house.
        timeout = httpx.Timeout(self._timeout, read=None)  # what is large takes long to be stored
        with _answering(_origin(upload_url)), httpx.Client(timeout=timeout) as plain:
            answer = plain.put(upload_url, content=_pieces(file, progress), headers=headers)
        found: dict[str, Any] = _content(answer) if answer.content or not answer.is_success else {}
        return found

    def start_file(
        self,
        journey: int,
        file: Path,
        progress: Progress | None = None,
        *,
        key: str | None = None,
        opened: Callable[[Started], None] | None = None,
    ) -> Started:
        """Start a batch with a file of this machine; `opened` is told the batch before the file is sent.

        Nothing starts twice, also when this is called again with the same file and `key` (an Idempotency-Key; made if
        there is none) while the `uploadUrl` is valid, which is 12 hours.
        """
        key = key if key is not None else new_key()
        started = self._patiently(lambda: self.open_upload(journey, key=key))
        if opened:
            opened(started)
        self._patiently(lambda: self.upload(str(started.upload_url), file, progress))
        return started

    def commence(self, journey: int, contact: str, properties: dict[str, Any]) -> dict[str, Any]:
        """Enter a single contact."""
        return self._post(f"journeys/{journey}/commence", {"id": contact, "properties": properties}, None)

    def publish(self, journey: int, definition: str) -> dict[str, Any]:
        """Publish a journey's definition (YAML or JSON)."""
        found: dict[str, Any] = _content(self._call("PUT", f"journeys/{journey}", content=definition.encode()))
        return found

    def batches(self) -> list[dict[str, Any]]:
        """The newest batches."""
        found: list[dict[str, Any]] = _content(self._call("GET", "batches"))
        return found

    def batch(self, batch: str) -> dict[str, Any]:
        """One batch with its ledger."""
        found: dict[str, Any] = _content(self._call("GET", f"batches/{batch}"))
        return found

    def change(self, batch: str, change: str) -> dict[str, Any]:
        """`pause`, `resume` or `cancel` a batch."""
        return self._post(f"batches/{batch}/{change}", {}, None)

    def rejects(self, batch: str) -> Iterator[dict[str, Any]]:
        """The refused rows, in order."""
        return self._stream(f"batches/{batch}/rejects", {})

    def journal(self, batch: str, **wanted: str | None) -> Iterator[dict[str, Any]]:
        """What happened to whom; `step`, `outcome` and `contact` narrow it."""
        return self._stream(f"batches/{batch}/journal", {k: v for k, v in wanted.items() if v is not None})

    def events(self, batch: str) -> Iterator[dict[str, Any]]:
        """The batch each time it changes, until it has ended. A connection that breaks off is made again."""
        patience = RetryPolicy(self._patience, self._sleep)
        while True:
            failed = CallFailed(f"{self._server} ended the events of batch {batch} before the batch ended.")
            try:
                for found in self._events(batch):
                    yield found
                    if found["finishedAt"] is not None:
                        return
                    patience = RetryPolicy(self._patience, self._sleep)
            except CallFailed as error:
                failed = error
            if not failed.passes or not patience.wait():
                raise failed

    def _events(self, batch: str) -> Iterator[dict[str, Any]]:
        timeout = httpx.Timeout(self._timeout, read=_SILENCE)
        for line in self._lines(f"batches/{batch}/events", timeout=timeout):
            if line.startswith("data: "):
                yield json.loads(line[6:])

    def _stream(self, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        return map(json.loads, self._lines(path, params=query))

    def _lines(self, path: str, **options: Any) -> Iterator[str]:
        with _answering(self._server), self._http.stream("GET", f"{self._customer}/{path}", **options) as answer:
            _check(answer)
            yield from _lines(answer)

    def _post(self, path: str, body: dict[str, Any], key: str | None) -> dict[str, Any]:
        headers = {} if key is None else {"Idempotency-Key": _sound(key)}
        found: dict[str, Any] = _content(self._call("POST", path, json=body, headers=headers))
        return found

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        with _answering(self._server):
            return self._http.request(method, f"{self._customer}/{path}", **options)

    def _patiently(self, call: Callable[[], Got], *, again: bool = True) -> Got:
        """Until it succeeds. `again`: it may come twice; else it is repeated only if it certainly has not arrived."""
        patience = RetryPolicy(self._patience, self._sleep)
        while True:
            try:
                return call()
            except CallFailed as failed:
                if not failed.passes or (failed.arrived and not again) or not patience.wait():
                    raise


def new_key() -> str:
    """An Idempotency-Key that nobody has used."""
    return secrets.token_hex(16)


def _sound(key: str) -> str:
    if not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable() and key == key.strip()):
        raise InvalidInput(f"An Idempotency-Key has 1 to {_LONGEST_KEY} printable ASCII characters.")
    return key


def _origin(url: str) -> str:
    """Whose URL that is; the rest of it may be a credential. Raises `InvalidInput` if nobody can be asked there."""
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL:
        found = httpx.URL()
    if found.scheme not in ("http", "https") or not found.host:
        raise InvalidInput("The server's address is no URL that begins with http:// or https:// and a host.")
    return f"{found.scheme}://{found.netloc.decode()}"


@contextmanager
def _answering(server: str) -> Iterator[None]:
    """What goes wrong on the way to the server and back, in one sentence."""
    try:
        yield
    except httpx.HTTPError as error:
        sentence = f"Caravan at {server} does not answer: {str(error) or type(error).__name__}."
        raise CallFailed(sentence, arrived=not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)) from error


def _pieces(file: Path, progress: Progress | None) -> Iterator[bytes]:
    sent, total = 0, file.stat().st_size
    with file.open("rb") as source:
        while piece := source.read(_PIECE):
            yield piece
            sent += len(piece)
            if progress:
                progress(sent, total)


def _lines(answer: httpx.Response) -> Iterator[str]:
    """Lines that end with a newline and nothing else: a row may hold U+2028."""
    rest = ""
    for text in answer.iter_text():
        *lines, rest = (rest + text).split("\n")
        yield from (line for line in lines if line)
    if rest:
        yield rest


def _content(answer: httpx.Response) -> Any:
    _check(answer)
    try:
        return answer.json()
    except ValueError:
        raise CallFailed(f"The server answered {answer.status_code}, but not with JSON.", answer.status_code) from None


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    answer.read()
    try:
        sentence = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        sentence = f"The server answered {answer.status_code}."
    raise CallFailed(sentence, answer.status_code)
