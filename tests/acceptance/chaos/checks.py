"""What must be true, whatever went wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.acceptance.chaos.audience import Audience, is_mail, is_resent, is_send, key
from tests.acceptance.chaos.sinks import Sinks

HALT_SECONDS = 1.0  # after the answer, nothing of a paused or cancelled batch goes out any more


class Broken(AssertionError):
    """A promise was broken."""


@dataclass(slots=True)
class Found:
    """What the journal and the sinks say about one batch that went through."""

    contacts: int = 0
    sent: int = 0
    unknown: int = 0
    unknown_but_received: int = 0
    repeats: int = 0  # received once more under the same key, where the step sends again what may have arrived


def check_ledger(batch: Mapping[str, Any]) -> None:
    """The ledger balances (guarantee 1), at every look."""
    ledger = batch["ledger"]
    if ledger["lines"] != ledger["entered"] + sum(ledger["rejected"].values()) + ledger["blank"]:
        raise Broken(f"lines do not add up: {batch}")
    for step in ledger["steps"]:
        if step["arrived"] != step["standing"] + sum(step["outcomes"].values()) or step["standing"] < 0:
            raise Broken(f"{step['step']} does not balance: {batch}")


def has_ended(batch: Mapping[str, Any]) -> bool:
    """Whether a batch has ended and nobody stands anywhere: a cancelled one may have senders that yet have to stop."""
    return batch["finishedAt"] is not None and not any(step["standing"] for step in batch["ledger"]["steps"])


def check_silence(sinks: Sinks, keys: set[str], halted: float, now: float) -> None:
    """Nothing with these keys arrived from a second after `halted` until now (monotonic seconds)."""
    late = [
        each
        for place in (sinks.mails, sinks.calls)
        for each in place.between(halted + HALT_SECONDS, now)
        if each in keys
    ]
    if late:
        raise Broken(f"{len(late)} deliveries came later than a second after the halt was answered: {late[:5]}")


def check_batch(
    batch: Mapping[str, Any], journal: Iterable[Mapping[str, Any]], audience: Audience, sinks: Sinks
) -> Found:
    """Everyone of the file has gone the whole way, or as far as the recall let them, was told of once at each step, and
    got what the journal says."""
    check_ledger(batch)
    cancelled = batch["state"] == "cancelled"
    if not cancelled and batch["state"] != "completed":
        raise Broken(f"it did not end as it must: {batch}")
    nobody = cancelled and not batch["ledger"]["entered"]  # it was recalled before its file was read
    if not nobody and batch["ledger"]["rejected"] != audience.rejected():
        raise Broken(f"its rejects are not those of its file: {batch}")
    found, told, outcomes = Found(), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    stopped = dict[str, str]()
    for line in journal:
        told[line["contact"], line["step"]] += 1
        outcomes[line["step"], line["outcome"]] += 1
        if line["outcome"] == "cancelled":
            stopped[line["contact"]] = line["step"]
        if is_send(line["step"]):
            _check_send(batch["id"], line, sinks, found)
    if stopped and not cancelled:
        raise Broken(f"{len(stopped)} contacts were cancelled, but the batch was not: {batch}")
    found.contacts = 0 if nobody else sum(1 for _ in audience.contacts())
    _check_ways(told, _ways(audience, stopped) if found.contacts else Counter())
    counted = {
        (step["step"], outcome): count
        for step in batch["ledger"]["steps"]
        for outcome, count in step["outcomes"].items()
    }
    if counted != outcomes:
        raise Broken(f"the ledger counts {counted}, the journal tells {dict(outcomes)}")
    return found


def _ways(audience: Audience, stopped: Mapping[str, str]) -> Counter[tuple[str, str]]:
    """Each stay that must be told of: everyone's whole way, of those who were stopped as far as that step."""
    stays = Counter[tuple[str, str]]()
    for contact, _ in audience.contacts():
        way = audience.way_of(contact)
        if contact in stopped:
            way = way[: way.index(stopped[contact]) + 1]
        stays.update((contact, step) for step in way)
    return stays


def _check_ways(told: Counter[tuple[str, str]], expected: Counter[tuple[str, str]]) -> None:
    if told != expected:
        wrong = [(each, told[each], expected[each]) for each in told | expected if told[each] != expected[each]]
        raise Broken(f"{len(wrong)} stays are not told of once, like (stay, told, expected): {wrong[:5]}")


def _check_send(batch: str, line: Mapping[str, Any], sinks: Sinks, found: Found) -> None:
    place = sinks.mails if is_mail(line["step"]) else sinks.calls
    received = place.got[key(batch, line["step"], line["line"])]
    most = received if is_resent(line["step"]) else 1
    found.repeats += max(received - 1, 0)
    match line["outcome"]:
        case "sent" if 1 <= received <= most:
            found.sent += 1
        case "unknown" if received <= most:
            found.unknown += 1
            found.unknown_but_received += min(received, 1)
        case "cancelled" if received == 0:
            pass
        case _:
            raise Broken(f"received {received} times: {dict(line)}")


def check_sinks(sinks: Sinks, found: Found) -> None:
    """Nobody got anything that no journal tells of."""
    if sinks.total() != found.sent + found.unknown_but_received + found.repeats:
        raise Broken(f"{sinks.total()} deliveries arrived, but the journals tell of {found}")
