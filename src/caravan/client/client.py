"""The HTTP client."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from caravan.errors import CaravanError

_PIECE = 1 << 20
Progress = Callable[[int, int], None]  # bytes sent, bytes in all


class CallFailed(CaravanError):
    """The server refused the call."""

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Started:
    """A batch that was started; `upload_url` is where its file is to be PUT, if it waits for one."""

    batch: str
    upload_url: str | None = None


class Client:
    """Calls of one customer. Raises `CallFailed` with the server's own sentence."""

    def __init__(self, url: str, customer: int, token: str, *, timeout: float = 60) -> None:
        self._customer = f"{url.rstrip('/')}/{customer}"
        self._http = httpx.Client(timeout=timeout, headers={"X-Carma-Authentication-Token": token})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def open_upload(self, journey: int, *, key: str | None = None) -> Started:
        """Start a batch whose file will be uploaded; `key` is an Idempotency-Key."""
        answer = self._post("batchtrigger/v2", {"entityId": journey}, key)
        return Started(str(answer.get("batchId", "")), answer["uploadUrl"])

    def start_url(self, journey: int, download_url: str, *, key: str | None = None) -> Started:
        """Start a batch whose file the server fetches."""
        body = {"entityId": journey, "downloadUrl": download_url}
        return Started(str(self._post("batchtrigger/v2", body, key).get("batchId", "")))

    def upload(self, upload_url: str, file: Path, progress: Progress | None = None) -> dict[str, Any]:
        """PUT a file; .gz and .zst are sent as what they are. A store that takes it itself answers nothing: {}."""
        encoding = {".gz": "gzip", ".zst": "zstd"}.get(file.suffix)
        headers = {"Content-Type": "text/plain", "Content-Length": str(file.stat().st_size)}
        if encoding:
            headers["Content-Encoding"] = encoding
        # No token: the URL is signed, and may belong to another house.
        with httpx.Client(timeout=None) as plain:
            answer = plain.put(upload_url, content=_pieces(file, progress), headers=headers)
        found: dict[str, Any] = _content(answer) if answer.content or not answer.is_success else {}
        return found

    def start_file(self, journey: int, file: Path, progress: Progress | None = None) -> Started:
        """Start a batch with a file of this machine."""
        started = self.open_upload(journey)
        assert started.upload_url is not None
        self.upload(started.upload_url, file, progress)
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
        """The batch each time it changes, until it has ended."""
        with self._http.stream("GET", f"{self._customer}/batches/{batch}/events", timeout=None) as answer:
            _check(answer)
            for line in _lines(answer):
                if line.startswith("data: "):
                    yield json.loads(line[6:])

    def _stream(self, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        with self._http.stream("GET", f"{self._customer}/{path}", params=query) as answer:
            _check(answer)
            for line in _lines(answer):
                yield json.loads(line)

    def _post(self, path: str, body: dict[str, Any], key: str | None) -> dict[str, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        found: dict[str, Any] = _content(self._call("POST", path, json=body, headers=headers))
        return found

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, f"{self._customer}/{path}", **options)
        except httpx.HTTPError as error:
            raise CallFailed(f"{self._customer} does not answer: {error}.") from error


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
    return answer.json()


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    answer.read()
    try:
        sentence = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        sentence = f"The server answered {answer.status_code}."
    raise CallFailed(sentence, answer.status_code)
