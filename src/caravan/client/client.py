"""The HTTP client."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote, urlsplit

import httpx

from caravan.client.answers import (
    Batch,
    Commenced,
    Contact,
    JournalEntry,
    Journey,
    Preflight,
    Reject,
    Started,
    Uploaded,
)
from caravan.client.retries import RetryPolicy, Sleep
from caravan.client.transport import CallFailed, Transport, answering, check, content, insist, new_key, origin

_PIECE = 1 << 20
_SILENCE = 60.0  # seconds; while a batch is followed, Caravan says something every ten
Progress = Callable[[int, int], None]  # bytes sent, bytes in all
Until = Literal["completed", "sent", "held"]


class Client:
    """Calls of one customer. Raises `CallFailed` with the server's own sentence, or if it does not answer within
    `timeout` seconds.

    `start_file`, `start_url`, `events` and `wait` try again while there is no answer, or one that says to come back,
    with pauses that grow, of `patience` seconds in all. Everything else is tried once. Where a call takes a `key`, that
    is an Idempotency-Key: the same call with the same key does nothing twice within 24 hours."""

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
        self._transport = Transport(url, customer, token, timeout)
        self._timeout, self._patience, self._sleep = timeout, patience, sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    # Starting

    def open_upload(
        self, journey: int, *, key: str | None = None, freeze_waits: bool = False, hold: bool = False
    ) -> Started:
        """Start a batch whose file will be uploaded. With `hold` it is read whole, and no contact moves until it is
        resumed."""
        answer = self._trigger({"entityId": journey}, key, freeze_waits, hold)
        return Started(str(answer.get("batchId", "")), str(answer["uploadUrl"]))

    def start_url(
        self,
        journey: int,
        download_url: str,
        *,
        key: str | None = None,
        freeze_waits: bool = False,
        hold: bool = False,
    ) -> Started:
        """Start a batch whose file the server fetches. With a `key` nothing starts twice within 24 hours, also when
        this is called again, on a server that knows such keys; without one, a call that may have arrived is not
        repeated."""
        body = {"entityId": journey, "downloadUrl": download_url}
        sent = key if key is not None else new_key()
        answer = insist(lambda: self._trigger(body, sent, freeze_waits, hold), self._retries(), again=key is not None)
        return Started(str(answer.get("batchId", "")))

    def upload(self, upload_url: str, file: Path, progress: Progress | None = None) -> Uploaded:
        """PUT a file; .gz and .zst are sent as what they are."""
        encoding = {".gz": "gzip", ".zst": "zstd"}.get(file.suffix)
        headers = {"Content-Type": "text/plain", "Content-Length": str(file.stat().st_size)}
        if encoding:
            headers["Content-Encoding"] = encoding
        # No token: the URL is signed, and may belong to another server.
        timeout = httpx.Timeout(self._timeout, read=None)  # what is large takes long to be stored
        with answering(origin(upload_url)), httpx.Client(timeout=timeout) as plain:
            answer = plain.put(upload_url, content=_pieces(file, progress), headers=headers)
        found: dict[str, Any] = content(answer) if answer.content or not answer.is_success else {}
        return Uploaded(found.get("bytes"), found.get("sha256"))

    def start_file(
        self,
        journey: int,
        file: Path,
        progress: Progress | None = None,
        *,
        key: str | None = None,
        freeze_waits: bool = False,
        hold: bool = False,
        opened: Callable[[Started], None] | None = None,
    ) -> Started:
        """Start a batch with a file of this machine; `opened` is told the batch before the file is sent.

        Nothing starts twice, also when this is called again with the same file and `key` (made if there is none) while
        the `uploadUrl` is valid, which is 12 hours."""
        key = key if key is not None else new_key()
        started = insist(
            lambda: self.open_upload(journey, key=key, freeze_waits=freeze_waits, hold=hold), self._retries()
        )
        if opened:
            opened(started)
        insist(lambda: self.upload(str(started.upload_url), file, progress), self._retries())
        return started

    def commence(
        self, journey: int, contact: str, properties: Mapping[str, Any] | None = None, *, key: str | None = None
    ) -> Commenced:
        """Enter a single contact."""
        body = {"id": contact, "properties": properties or {}}
        found = self._transport.call("POST", f"journeys/{journey}/commence", key, json=body)
        return Commenced(found["contactId"], found["batchId"])

    # Batches

    def batches(self, *, states: tuple[str, ...] = (), journey: int | None = None, page: int = 50) -> Iterator[Batch]:
        """All batches, newest first, fetched a page at a time as they are asked for."""
        query: Any = {"limit": page, "state": list(states), **({} if journey is None else {"journey": journey})}
        path: str | None = "batches"
        while path is not None:
            answer = self._transport.answer("GET", path, params=query)
            yield from map(Batch.of, content(answer))
            following = answer.links.get("next", {}).get("url")
            path, query = ("batches", httpx.QueryParams(urlsplit(following).query)) if following else (None, {})

    def batch(self, batch: str) -> Batch:
        """One batch with its ledger."""
        return Batch.of(self._transport.call("GET", f"batches/{batch}"))

    def pause(self, batch: str, *, key: str | None = None) -> Batch:
        """Nobody of the batch moves until it is resumed."""
        return self.change(batch, "pause", key=key)

    def resume(self, batch: str, *, key: str | None = None) -> Batch:
        """The batch goes on."""
        return self.change(batch, "resume", key=key)

    def cancel(self, batch: str, *, key: str | None = None) -> Batch:
        """Recall the batch: contacts that have not been reached leave as `cancelled`."""
        return self.change(batch, "cancel", key=key)

    def retry(self, batch: str, *, key: str | None = None) -> Batch:
        """Take up once more what was stuck."""
        return self.change(batch, "retry", key=key)

    def give_up(self, batch: str, *, key: str | None = None) -> Batch:
        """Fail the contacts that are only being retried, now."""
        return self.change(batch, "give-up", key=key)

    def forget(self, batch: str, *, key: str | None = None) -> Batch:
        """Delete the contacts, rejects and journal of an ended batch now."""
        return self.change(batch, "forget", key=key)

    def change(self, batch: str, change: str, *, key: str | None = None) -> Batch:
        """`pause`, `resume`, `cancel`, `retry`, `give-up` or `forget` a batch."""
        return Batch.of(self._transport.call("POST", f"batches/{batch}/{change}", key, json={}))

    def preflight(self, batch: str, *, contact: str | None = None) -> Preflight:
        """What a batch that was started with `hold` would do if it were resumed now; with `contact` the samples are
        that contact's messages."""
        query = {} if contact is None else {"contact": contact}
        return Preflight.of(self._transport.call("GET", f"batches/{batch}/preflight", params=query))

    def rejects(self, batch: str) -> Iterator[Reject]:
        """The refused rows, in order."""
        return (Reject.of(json.loads(line)) for line in self._transport.lines(f"batches/{batch}/rejects"))

    def journal(
        self, batch: str, *, step: str | None = None, outcome: str | None = None, contact: str | None = None
    ) -> Iterator[JournalEntry]:
        """What happened to whom; with `contact` also where that contact stands."""
        wanted = {"step": step, "outcome": outcome, "contact": contact}
        query = {name: value for name, value in wanted.items() if value is not None}
        return (
            JournalEntry.of(json.loads(line))
            for line in self._transport.lines(f"batches/{batch}/journal", params=query)
        )

    def contact(self, contact: str, *, limit: int = 200) -> Contact:
        """What happened to one contact in the newest `limit` batches, in order of time, and why."""
        path = f"contacts/{quote(contact, safe='')}"
        return Contact.of(self._transport.call("GET", path, params={"limit": limit}))

    def events(self, batch: str) -> Iterator[Batch]:
        """The batch each time it changes, until it has ended. A connection that breaks off is made again."""
        retries = self._retries()
        while True:
            sentence = f"{self._transport.server} ended the events of batch {batch} before the batch ended."
            failed = CallFailed(sentence)
            try:
                for found in self._events(batch):
                    yield found
                    if found.finished_at is not None:
                        return
                    retries = self._retries()
            except CallFailed as error:
                failed = error
            if not failed.passes or not retries.wait():
                raise failed

    def wait(self, batch: str, until: Until = "completed") -> Batch:
        """Wait until the batch has ended or, with `sent`, until everything has been sent that can be sent before a wait
        of the journey is over, or, with `held`, until it has been read and is held for review. The batch as it is
        then."""
        for found in self.events(batch):
            if found.ended or (until == "sent" and found.idle) or (until == "held" and found.held):
                return found
        raise CallFailed(f"{self._transport.server} ended the events of batch {batch} before the batch ended.")

    # Journeys

    def publish(self, journey: int, definition: str) -> Journey:
        """Publish a journey's definition (YAML or JSON) as a new version."""
        return Journey.of(self._transport.call("PUT", f"journeys/{journey}", content=definition.encode()))

    def journeys(self) -> list[Journey]:
        """All journeys, with their newest version."""
        return list(map(Journey.of, self._transport.call("GET", "journeys")))

    def definition(self, journey: int, version: int | None = None) -> dict[str, Any]:
        """A journey's definition: the newest, or one version of it."""
        query = {} if version is None else {"version": version}
        found: dict[str, Any] = self._transport.call("GET", f"journeys/{journey}", params=query)
        return found

    def source(self, journey: int, version: int | None = None) -> bytes:
        """A journey's definition as it was written, with its comments: the newest, or one version of it."""
        query = {} if version is None else {"version": version}
        headers = {"Accept": "application/yaml"}
        answer = self._transport.answer("GET", f"journeys/{journey}", params=query, headers=headers)
        check(answer)
        return answer.content

    def versions(self, journey: int) -> list[Journey]:
        """All versions of a journey, as `Journey` each."""
        found = self._transport.call("GET", f"journeys/{journey}/versions")
        return [Journey.of({"journey": journey, **each}) for each in found]

    def pause_journey(self, journey: int, *, key: str | None = None) -> list[str]:
        """Pause all batches of a journey, and those that start meanwhile; the ids of those that were changed."""
        return self._change_journey(journey, "pause", key)

    def resume_journey(self, journey: int, *, key: str | None = None) -> list[str]:
        """Let all batches of a journey go on; the ids of those that were changed."""
        return self._change_journey(journey, "resume", key)

    def cancel_journey(self, journey: int, *, key: str | None = None) -> list[str]:
        """Recall all batches of a journey that have not ended; the ids of those that were changed."""
        return self._change_journey(journey, "cancel", key)

    def _change_journey(self, journey: int, change: str, key: str | None) -> list[str]:
        found = self._transport.call("POST", f"journeys/{journey}/{change}", key, json={})
        return [str(each) for each in found["batches"]]

    def _trigger(self, body: dict[str, Any], key: str | None, freeze_waits: bool, hold: bool) -> dict[str, Any]:
        wanted = {name: True for name, value in (("freezeWaits", freeze_waits), ("hold", hold)) if value}
        options = {"options": wanted} if wanted else {}
        found: dict[str, Any] = self._transport.call("POST", "batchtrigger/v2", key, json={**body, **options})
        return found

    def _events(self, batch: str) -> Iterator[Batch]:
        timeout = httpx.Timeout(self._timeout, read=_SILENCE)
        for line in self._transport.lines(f"batches/{batch}/events", timeout=timeout):
            if line.startswith("data: "):
                yield Batch.of(json.loads(line[6:]))

    def _retries(self) -> RetryPolicy:
        return RetryPolicy(self._patience, self._sleep)


def _pieces(file: Path, progress: Progress | None) -> Iterator[bytes]:
    sent, total = 0, file.stat().st_size
    with file.open("rb") as source:
        while piece := source.read(_PIECE):
            yield piece
            sent += len(piece)
            if progress:
                progress(sent, total)
