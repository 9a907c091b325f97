"""Calls about events: what contacts did."""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from caravan.client.answers import EventsTaken, ReportedEvent
from caravan.client.transport import Transport, content

_LINES = 10_000  # events in one call


class EventCalls:
    """The part of `Client` that is about events."""

    _transport: Transport

    def event(
        self,
        contact: str,
        event: str,
        properties: Mapping[str, Any] | None = None,
        *,
        at: datetime | None = None,
        key: str | None = None,
    ) -> bool:
        """Report what a contact did, at `at` (with a time zone; None: now). With a `key` it can be repeated without
        harm, for as long as events are kept; whether it was new."""
        given = {"properties": properties, "at": None if at is None else at.isoformat(), "key": key}
        body = {"id": contact, "event": event, **{name: value for name, value in given.items() if value is not None}}
        return bool(self._transport.call("POST", "events", json=body)["taken"])

    def send_events(self, events: Iterable[Mapping[str, Any]]) -> EventsTaken:
        """Report many events, each an object like `{"id": "anna", "event": "purchase"}`, ten thousand in a call. What
        can't be used is told with its place from 1, and all others are taken."""
        waiting, before, total = iter(events), 0, EventsTaken(0, 0, 0, ())
        while some := list(islice(waiting, _LINES)):
            total += self._send(some, before)
            before += len(some)
        return total

    def _send(self, events: list[Mapping[str, Any]], before: int) -> EventsTaken:
        body = gzip.compress("\n".join(map(json.dumps, events)).encode(), 1)
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        return EventsTaken.of(self._transport.call("POST", "events", headers=headers, content=body), before)

    def events_of(self, event: str, *, page: int = 1_000) -> Iterator[tuple[str, ReportedEvent]]:
        """The events of one name that are kept, each with the id of its contact, newest first, fetched a page at a
        time."""
        path, query = "events", dict[str, Any]({"event": event, "limit": page})
        while path:
            answer = self._transport.answer("GET", path, params=query)
            yield from ((each["contact"], ReportedEvent.of(each)) for each in content(answer))
            following = answer.links.get("next", {}).get("url")
            path, query = ("events", dict(httpx.QueryParams(urlsplit(following).query))) if following else ("", {})

    def contact_events(self, contact: str, *, event: str | None = None, page: int = 1_000) -> Iterator[ReportedEvent]:
        """The events of a contact that are kept, or those of one name, newest first, fetched a page at a time."""
        place = f"contacts/{quote(contact, safe='')}/events"
        query: Any = {"limit": page, **({} if event is None else {"event": event})}
        path: str | None = place
        while path is not None:
            answer = self._transport.answer("GET", path, params=query)
            yield from map(ReportedEvent.of, content(answer))
            following = answer.links.get("next", {}).get("url")
            path, query = (place, httpx.QueryParams(urlsplit(following).query)) if following else (None, {})
