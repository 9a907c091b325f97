"""A customer's channels as a person looks at them: paces, what became of messages of late, and what replies say."""

import asyncio
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from caravan.engine.engine import Engine
from caravan.queries.channels import ChannelReport, channel_reports
from caravan.queries.failures import reply_words
from caravan.store import replies
from caravan.store.database import Connection, snapshot
from caravan.store.ledger import UNREACHED, Outcome
from caravan.store.replies import Heard, HeldBack, SettledWindow, StepOutcome

LATELY = timedelta(days=1)
_CODES = re.compile(r"[0-9]{3}(?: [245]\.[0-9]+\.[0-9]+)?")  # RFC 5321 §4.2, RFC 3463 §2
_SHOWN = 5  # reasons, replies and batches of a channel


@dataclass(frozen=True, slots=True)
class Said:
    """A reply without what concerns one message alone, and to how many messages it was given."""

    outcome: str
    words: str
    contacts: int


@dataclass(slots=True)
class ChannelState:
    """One channel of a customer at one moment. `replies` are those to the newest messages of cohorts that are being
    sent, the most frequent first; `heard` is by the whole installation."""

    report: ChannelReport
    heard: Heard
    outcomes: Counter[str] = field(default_factory=Counter)  # of batches that ran within `LATELY`
    failing: Counter[str] = field(default_factory=Counter)  # {batch: contacts that it did not reach}
    held: list[HeldBack] = field(default_factory=list)
    replies: list[Said] = field(default_factory=list)

    @property
    def channel(self) -> str:
        """Its name."""
        return self.report.channel

    @property
    def away_since(self) -> datetime | None:
        """When the other side could last not be reached, if it was not reached since."""
        reached, unreachable = self.heard.reached, self.heard.unreachable
        if unreachable is None or (reached is not None and reached >= unreachable):
            return None
        return unreachable


async def channel_states(engine: Engine, customer: int) -> list[ChannelState]:
    """The channels of a customer, in the registry's order."""
    async with snapshot(engine.pool) as connection:
        heard = await replies.last_heard(connection)
        reports = await channel_reports(engine, connection, customer)
        outcomes = await replies.outcomes(connection, customer, engine.clock.now() - LATELY)
        held = await replies.held_back(connection, customer)
        windows = await replies.under_way(connection, customer)
        versions = {(each.journey, each.version) for found in (outcomes, held, windows) for each in found}
        kinds = await _kinds(engine, connection, customer, versions)
    states = {each.channel: ChannelState(each, heard.get(each.channel, Heard())) for each in reports}
    for each in outcomes:
        _count(states, kinds, each)
    for reason in held:
        state = states.get(kinds.get((reason.journey, reason.version, reason.step), ""))
        if state is not None and len(state.held) < _SHOWN:
            state.held.append(reason)
    said = await asyncio.to_thread(_said, windows, kinds)
    for channel, counts in said.items():
        if channel in states:
            found = [Said(*key, contacts) for key, contacts in counts.most_common(_SHOWN)]
            states[channel].replies = found
    return list(states.values())


Kinds = dict[tuple[int, int, str], str]  # {(journey, version, step): its type}


async def _kinds(engine: Engine, connection: Connection, customer: int, versions: set[tuple[int, int]]) -> Kinds:
    """What type each step of these versions of journeys is."""
    kinds: Kinds = {}
    for number, version in sorted(versions):
        journey = await engine.journeys.get(connection, customer, number, version)
        kinds |= {(number, version, step.id): step.kind for step in journey.steps}
    return kinds


def _count(states: dict[str, ChannelState], kinds: Kinds, found: StepOutcome) -> None:
    state = states.get(kinds.get((found.journey, found.version, found.step), ""))
    if state is not None:
        state.outcomes[found.outcome] += found.contacts
        if found.outcome in UNREACHED:
            state.failing[found.batch] += found.contacts


def _said(windows: list[SettledWindow], kinds: Kinds) -> dict[str, Counter[tuple[str, str]]]:
    """How often each reply was given, by channel."""
    counts: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for window in windows:
        channel = kinds.get((window.journey, window.version, window.step), "")
        outcomes, words = window.record["outcome"].to_pylist(), reply_words(window.record).to_pylist()
        counts[channel].update(map(_pair, outcomes, words))
    return counts


def _pair(outcome: str, words: str) -> tuple[str, str]:
    """What is counted: of a message that was taken only the codes, since what follows names that message."""
    codes = _CODES.match(words) if outcome == Outcome.SENT else None
    return outcome, words if codes is None else codes[0]
