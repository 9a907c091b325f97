"""What belongs to a customer as a whole: its channels, its audit log, and for how long its contacts are kept."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import quote

from caravan.client.transport import Transport, check, content


@dataclass(frozen=True, slots=True)
class Erasure:
    """A contact that is forgotten. `erased` says how much that was, like `{"rows": 7, "events": 2}`."""

    id: int
    finished: bool
    waiting_for: str | None
    erased: dict[str, int]
    raw: dict[str, Any]

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Self:
        """What the API answered."""
        return cls(raw["id"], raw["state"] == "finished", raw["waitingFor"], raw["erased"], raw)


class Administration:
    """Calls of the client, apart from those about batches and journeys."""

    _transport: Transport

    def channels(self) -> list[dict[str, Any]]:
        """The channels, each with the paces that bind this customer, as the API tells them."""
        found: list[dict[str, Any]] = self._transport.call("GET", "channels")
        return found

    def set_rate(
        self, channel: str, *, per_second: float | None = None, per_day: int | None = None, provider: str | None = None
    ) -> None:
        """Set how fast a channel may send, or to one provider; it holds within a second. One limit at least."""
        limits = {"perSecond": per_second, "perDay": per_day}
        self._transport.call("PUT", _rate(channel, provider), json={k: v for k, v in limits.items() if v is not None})

    def end_rate(self, channel: str, provider: str | None = None) -> None:
        """Let a channel send as fast as it can, or to one provider."""
        check(self._transport.answer("DELETE", _rate(channel, provider)))

    def set_cap(self, channel: str, most: int, period: str, *, otherwise: Literal["skip", "wait"] = "skip") -> None:
        """Let a recipient get at most so many messages on a channel in any period like `7 days`; others are left out,
        or wait until there is room."""
        body = {"most": most, "period": period, "otherwise": otherwise}
        self._transport.call("PUT", f"channels/{channel}/cap", json=body)

    def end_cap(self, channel: str) -> None:
        """Let a recipient get any number of messages on a channel."""
        check(self._transport.answer("DELETE", f"channels/{channel}/cap"))

    def audit(
        self, *, who: str | None = None, act: str | None = None, since: str | None = None, until: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Each act on the customer, the newest first, as the API tells it. `since` and `until` are days or moments (ISO
        8601)."""
        wanted = {"who": who, "act": act, "from": since, "to": until}
        query = {name: value for name, value in wanted.items() if value is not None}
        return (json.loads(line) for line in self._transport.lines("audit", params=query))

    def retention(self) -> int:
        """For how many days the contacts of an ended batch are kept."""
        return int(self._transport.call("GET", "retention")["days"])

    def set_retention(self, days: int | None) -> int:
        """Keep the contacts of ended batches for so many days (None: as the installation is set); how many that are.
        With fewer days, what is older is deleted within minutes."""
        return int(self._transport.call("PUT", "retention", json={"days": days})["days"])

    def forget_contact(self, contact: str) -> Erasure:
        """Have all that is kept of a contact deleted, which takes some seconds; `erasure` says how far that is."""
        answer = self._transport.answer("DELETE", f"contacts/{quote(contact, safe='')}")
        check(answer)
        return Erasure.of(content(answer))

    def erasure(self, number: int) -> Erasure:
        """How far the forgetting of a contact is."""
        return Erasure.of(self._transport.call("GET", f"erasures/{number}"))


def _rate(channel: str, provider: str | None) -> str:
    return f"channels/{channel}/rate" if provider is None else f"channels/{channel}/providers/{provider}/rate"
