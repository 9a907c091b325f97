"""The HTTP client."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote, urlsplit

import httpx

from caravan.client.administration import Administration
from caravan.client.answers import (
    Batch,
    CameBack,
    Contact,
    JournalEntry,
    Journey,
    Reject,
    Return,
    SentTest,
    Suppression,
)
from caravan.client.event_calls import EventCalls
from caravan.client.foretold import Preflight
from caravan.client.moves import MoveCalls
from caravan.client.retries import Sleep
from caravan.client.starting import Starting, chosen, pieces_of
from caravan.client.transport import BlockingTransport, CallFailed, Transport, check, content

_SILENCE = 60.0  # seconds; while a batch is followed, Caravan says something every ten
Until = Literal["completed", "sent", "held"]


class Client(Starting, Administration, EventCalls, MoveCalls):
    """Calls of one customer. Raises `CallFailed` with the server's own sentence, or if it does not answer within
    `timeout` seconds.

    `start_batch`, `start_file`, `start_url`, `events` and `wait` try again while there is no answer, or one that says
    to come back, with pauses that grow, of `patience` seconds in all. Everything else is tried once. Where a call takes
    a `key`, that is an Idempotency-Key: the same call with the same key does nothing twice within 24 hours."""

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
        self._transport = self._connect(url, customer, token, timeout)
        self._timeout, self._patience, self._sleep = timeout, patience, sleep

    def _connect(self, url: str, customer: int, token: str, timeout: float) -> Transport:
        return BlockingTransport(url, customer, token, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

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

    def restart(
        self,
        batch: str,
        outcome: str,
        step: str | None = None,
        *,
        hold: bool = False,
        expires: str | None = None,
        key: str | None = None,
    ) -> Batch:
        """Start again, as a new batch, with the contacts that have left the step, or any step, of a batch with this
        outcome, like `failed`. With `hold` no contact moves until it is resumed; without `expires` it expires as the
        batch does."""
        body: dict[str, Any] = {"outcome": outcome, **({} if step is None else {"step": step})}
        body |= chosen({"hold": hold, "expires": expires})
        return Batch.of(self._transport.call("POST", f"batches/{batch}/restart", key, json=body))

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

    def came_back(self, batch: str) -> list[CameBack]:
        """What came back to the messages of a batch, by step and event."""
        return [CameBack.of(each) for each in self._transport.call("GET", f"batches/{batch}/came-back")]

    def dead_letters(self, batch: str, *, step: str | None = None) -> Iterator[JournalEntry]:
        """Whom a webhook step could not reach, for good."""
        query = {} if step is None else {"step": step}
        lines = self._transport.lines(f"batches/{batch}/dead-letters", params=query)
        return (JournalEntry.of(json.loads(line)) for line in lines)

    def replay(
        self, batch: str, step: str, *, count: int | None = None, contact: str | None = None, key: str | None = None
    ) -> Batch:
        """Send the dead letters of a step once more: all, if there are `count`, or those of one contact."""
        wanted = {"step": step, "count": count, "contact": contact}
        body = {name: value for name, value in wanted.items() if value is not None}
        return Batch.of(self._transport.call("POST", f"batches/{batch}/dead-letters/replay", key, json=body))

    def returns(self, /, batch: str, **wanted: str) -> Iterator[Return]:
        """What came back to a batch, the oldest first; `wanted` are `step` and `kind`."""
        lines = self._transport.lines(f"batches/{batch}/returns", params=wanted)
        return (Return.of(json.loads(line)) for line in lines)

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

    def wait_until_done(self, batch: str) -> Batch:
        """Wait until the batch has ended; the batch as it is then."""
        return self.wait(batch)

    # Suppressions

    def suppressions(self, /, *, address: str | None = None, page: int = 1_000, **wanted: str) -> Iterator[Suppression]:
        """Suppressions, newest first, or those of addresses that begin so; `wanted` are `channel`, `topic` and
        `reason`. They are fetched a page at a time as they are asked for."""
        query: Any = {"limit": page, **wanted, **({} if address is None else {"address": address})}
        path: str | None = "suppressions"
        while path is not None:
            answer = self._transport.answer("GET", path, params=query)
            yield from map(Suppression.of, content(answer))
            following = answer.links.get("next", {}).get("url")
            path, query = ("suppressions", httpx.QueryParams(urlsplit(following).query)) if following else (None, {})

    def suppress(self, /, *addresses: str, key: str | None = None, **values: str) -> int:
        """Suppress addresses; how many of them are new. `values` are `channel`, `topic`, `reason`, `at`, `detail`."""
        body = [{"address": each, **values} for each in addresses]
        return int(self._transport.call("POST", "suppressions", key, json=body)["added"])

    def lift(self, /, address: str, **values: str) -> int:
        """Lift the suppressions of an address, or those of a `channel`, `topic` or `reason`; how many those were."""
        query = {"address": address, **values}
        return int(self._transport.call("DELETE", "suppressions", params=query)["removed"])

    def import_suppressions(self, file: Path, *, timeout: float = 3_600) -> dict[str, Any]:
        """Suppress all addresses of a list in CSV (`.csv`) or NDJSON; the counts, and what was refused by line."""
        kind = "text/csv" if file.suffix.lower() == ".csv" else "application/x-ndjson"
        headers = {"Content-Type": kind}
        pieces = pieces_of(file, None)
        found: dict[str, Any] = self._transport.call(
            "POST", "suppressions/import", headers=headers, content=pieces, timeout=timeout
        )
        return found

    def export_suppressions(self) -> Iterator[Suppression]:
        """All suppressions, oldest first, as they come."""
        return (Suppression.of(json.loads(line)) for line in self._transport.lines("suppressions/export"))

    # Journeys

    def publish(self, journey: int, definition: str, *, base: int | None = None) -> Journey:
        """Publish a journey's definition (YAML or JSON) as a new version. With `base`, the version that it began with
        (0: none), it is refused with 409 where another one is the newest by now."""
        query = {} if base is None else {"base": base}
        found = self._transport.call("PUT", f"journeys/{journey}", content=definition.encode(), params=query)
        return Journey.of(found)

    def send_test(
        self,
        journey: int,
        step: str,
        to: str,
        contact: str,
        properties: Mapping[str, Any] | None = None,
        *,
        version: int | None = None,
        key: str | None = None,
    ) -> SentTest:
        """Send what a contact would get at an email step to the address `to`, marked as a test."""
        body = {"step": step, "to": to, "contact": {"id": contact, "properties": properties or {}}}
        whole = body if version is None else {**body, "version": version}
        found = self._transport.call("POST", f"journeys/{journey}/test", key, json=whole)
        return SentTest(found["result"], found["detail"])

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

    def _events(self, batch: str) -> Iterator[Batch]:
        timeout = httpx.Timeout(self._timeout, read=_SILENCE)
        for line in self._transport.lines(f"batches/{batch}/events", timeout=timeout):
            if line.startswith("data: "):
                yield Batch.of(json.loads(line[6:]))
