"""What must be true, whatever went wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.acceptance.chaos.audience import Audience, is_mail, is_send, key
from tests.acceptance.chaos.sinks import Sinks


class Broken(AssertionError):
    """A promise was broken."""


@dataclass(slots=True)
class Found:
    """What the journal and the sinks say about one batch that went through."""

    contacts: int = 0
    sent: int = 0
    unknown: int = 0
    unknown_but_received: int = 0


def check_ledger(batch: Mapping[str, Any]) -> None:
    """Law 1, at every look."""
    ledger = batch["ledger"]
    if ledger["lines"] != ledger["entered"] + sum(ledger["rejected"].values()) + ledger["blank"]:
        raise Broken(f"lines do not add up: {batch}")
    for step in ledger["steps"]:
        if step["arrived"] != step["standing"] + sum(step["outcomes"].values()) or step["standing"] < 0:
            raise Broken(f"{step['step']} does not balance: {batch}")


def check_batch(
    batch: Mapping[str, Any], journal: Iterable[Mapping[str, Any]], audience: Audience, sinks: Sinks
) -> Found:
    """Everyone of the file has gone the whole way, was told of once at each step, and got what the journal says."""
    check_ledger(batch)
    if batch["state"] != "completed" or batch["ledger"]["rejected"] != audience.rejected():
        raise Broken(f"it did not end as it must: {batch}")
    found, told, outcomes = Found(), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for line in journal:
        told[line["contact"], line["step"]] += 1
        outcomes[line["step"], line["outcome"]] += 1
        if is_send(line["step"]):
            _check_send(batch["id"], line, sinks, found)
    _check_ways(told, audience, found)
    counted = {
        (step["step"], outcome): count
        for step in batch["ledger"]["steps"]
        for outcome, count in step["outcomes"].items()
    }
    if counted != outcomes:
        raise Broken(f"the ledger counts {counted}, the journal tells {dict(outcomes)}")
    return found


def _check_ways(told: Counter[tuple[str, str]], audience: Audience, found: Found) -> None:
    expected = Counter((contact, step) for contact, _ in audience.contacts() for step in audience.way_of(contact))
    found.contacts = sum(1 for _ in audience.contacts())
    if told != expected:
        wrong = [(each, told[each], expected[each]) for each in told | expected if told[each] != expected[each]]
        raise Broken(f"{len(wrong)} stays are not told of once, like (stay, told, expected): {wrong[:5]}")


def _check_send(batch: str, line: Mapping[str, Any], sinks: Sinks, found: Found) -> None:
    place = sinks.mails if is_mail(line["step"]) else sinks.calls
    received = place.got[key(batch, line["step"], line["contact"], line["line"])]
    match line["outcome"]:
        case "sent" if received == 1:
            found.sent += 1
        case "unknown":
            found.unknown += 1
            found.unknown_but_received += min(received, 1)
        case _:
            raise Broken(f"received {received} times: {dict(line)}")


def check_sinks(sinks: Sinks, sent: int, received_unknown: int) -> None:
    """Nobody got anything that no journal tells of."""
    for place in (sinks.mails, sinks.calls):
        twice = [each for each, count in place.got.items() if count > 1]
        if twice:
            raise Broken(f"{len(twice)} deliveries came twice: {twice[:5]}")
    if sinks.total() != sent + received_unknown:
        raise Broken(f"{sinks.total()} deliveries arrived, but the journals tell of {sent} + {received_unknown}")
