"""Calls over HTTP: one sentence for whatever goes wrong on the way, and which calls may be repeated."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from caravan.client.retries import RetryPolicy
from caravan.errors import CaravanError, InvalidInput

_AWAY = 503
_PASSING = (0, 408, 502, _AWAY, 504)  # no answer, and the answers of servers that are about to come back
_LONGEST_KEY = 255
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


class Transport(ABC):
    """One customer's calls on one server, with its token."""

    def __init__(self, url: str, customer: int, token: str) -> None:
        self.server = origin(url)
        self._customer = f"{url.rstrip('/')}/{customer}"
        self._token = {"X-Carma-Authentication-Token": _sound_token(token)}

    def call(self, method: str, path: str, key: str | None = None, **options: Any) -> Any:
        """The JSON that a call answers. Raises `CallFailed`."""
        return content(self.answer(method, path, key, **options))

    def answer(self, method: str, path: str, key: str | None = None, **options: Any) -> httpx.Response:
        """The answer itself, for its headers or a text. Raises `CallFailed` for no answer, not for a refusal."""
        headers = {**options.pop("headers", {}), **({} if key is None else {"Idempotency-Key": sound_key(key)})}
        with answering(self.server):
            return self._request(method, f"{self._customer}/{path}", headers=headers, **options)

    def lines(self, path: str, **options: Any) -> Iterator[str]:
        """The lines of a streamed answer, as they come."""
        with answering(self.server):
            yield from lines(self._texts(f"{self._customer}/{path}", **options))

    def put(self, url: str, pieces: Iterator[bytes], headers: dict[str, str], timeout: httpx.Timeout) -> httpx.Response:
        """The answer to an upload. It bears no token: the URL is signed, and may belong to another server."""
        with answering(origin(url)):
            return self._put(url, pieces, headers, timeout)

    @abstractmethod
    def close(self) -> None:
        """Close its connections."""

    @abstractmethod
    def _request(self, method: str, url: str, **options: Any) -> httpx.Response: ...

    @abstractmethod
    def _texts(self, url: str, **options: Any) -> Iterator[str]:
        """The text of an answer, as it comes. Raises `CallFailed` for a refusal."""

    @abstractmethod
    def _put(
        self, url: str, pieces: Iterator[bytes], headers: dict[str, str], timeout: httpx.Timeout
    ) -> httpx.Response: ...


class BlockingTransport(Transport):
    """Calls that hold up the thread that makes them."""

    def __init__(self, url: str, customer: int, token: str, timeout: float) -> None:
        super().__init__(url, customer, token)
        self._http = httpx.Client(timeout=timeout, headers=self._token)

    def close(self) -> None:
        self._http.close()

    def _request(self, method: str, url: str, **options: Any) -> httpx.Response:
        return self._http.request(method, url, **options)

    def _texts(self, url: str, **options: Any) -> Iterator[str]:
        with self._http.stream("GET", url, **options) as answer:
            if not answer.is_success:
                answer.read()
            check(answer)
            yield from answer.iter_text()

    def _put(
        self, url: str, pieces: Iterator[bytes], headers: dict[str, str], timeout: httpx.Timeout
    ) -> httpx.Response:
        with httpx.Client(timeout=timeout) as plain:
            return plain.put(url, content=pieces, headers=headers)


def lines(texts: Iterable[str]) -> Iterator[str]:
    """Lines that end with a newline and nothing else: a row may hold U+2028."""
    rest = ""
    for text in texts:
        *whole, rest = (rest + text).split("\n")
        yield from (line for line in whole if line)
    if rest:
        yield rest


def insist(call: Callable[[], Got], retries: RetryPolicy, *, again: bool = True) -> Got:
    """Call until it succeeds. `again`: it may come twice; else it is repeated only if it certainly has not arrived."""
    while True:
        try:
            return call()
        except CallFailed as failed:
            if not failed.passes or (failed.arrived and not again) or not retries.wait():
                raise


def new_key() -> str:
    """An Idempotency-Key that no call has used."""
    return secrets.token_hex(16)


def sound_key(key: str) -> str:
    """The key, if it can stand in a header. Raises `InvalidInput`."""
    if not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable() and key == key.strip()):
        raise InvalidInput(f"An Idempotency-Key has 1 to {_LONGEST_KEY} printable ASCII characters.")
    return key


def _sound_token(token: str) -> str:
    """The token without the white space that a file or a shell left around it. Raises `InvalidInput`, and does not
    print it, if it can't stand in a header: then it is no token."""
    stripped = token.strip()
    if not (stripped and stripped.isascii() and stripped.isprintable() and " " not in stripped):
        raise InvalidInput(
            "The token holds characters that no token has, like a line end or a space; copy it once more."
        )
    return stripped


def origin(url: str) -> str:
    """Whose URL that is; the rest of it may be a credential. Raises `InvalidInput` if it names no server."""
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL:
        found = httpx.URL()
    if found.scheme not in ("http", "https") or not found.host:
        raise InvalidInput("The server's address is no URL that begins with http:// or https:// and a host.")
    return f"{found.scheme}://{found.netloc.decode()}"


@contextmanager
def answering(server: str) -> Iterator[None]:
    """What goes wrong on the way to the server and back, in one sentence."""
    try:
        yield
    except httpx.HTTPError as error:
        sentence = f"Caravan at {server} does not answer: {str(error) or type(error).__name__}."
        raise CallFailed(sentence, arrived=not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)) from error


def content(answer: httpx.Response) -> Any:
    """The JSON of an answer. Raises `CallFailed`."""
    check(answer)
    try:
        return answer.json()
    except ValueError:
        raise CallFailed(f"The server answered {answer.status_code}, but not with JSON.", answer.status_code) from None


def check(answer: httpx.Response) -> None:
    """Raise `CallFailed` with the server's own sentence unless the call was served. The answer has been read whole."""
    if answer.is_success:
        return
    try:
        sentence = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        sentence = f"The server answered {answer.status_code}."
    raise CallFailed(sentence, answer.status_code)
