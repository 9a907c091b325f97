"""What calls answer, as values. `raw` is the JSON object as the server sent it, with what this version does not
know."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

_ENDED = frozenset({"completed", "failed", "cancelled", "expired"})

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StepCounts:
    """One step's line of the ledger: arrived = standing + the sum of outcomes."""

    step: str
    arrived: int
    standing: int
    outcomes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Ledger:
    """lines = entered + rejected + blank."""

    lines: int
    blank: int
    entered: int
    rejected: Mapping[str, int]
    steps: tuple[StepCounts, ...]

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """A ledger from its JSON object."""
        steps = (StepCounts(each["step"], each["arrived"], each["standing"], each["outcomes"]) for each in raw["steps"])
        return cls(raw["lines"], raw["blank"], raw["entered"], raw["rejected"], tuple(steps))

    def outcomes(self) -> dict[str, int]:
        """Contacts by outcome, at all steps together."""
        found: dict[str, int] = {}
        for step in self.steps:
            for outcome, contacts in step.outcomes.items():
                found[outcome] = found.get(outcome, 0) + contacts
        return found

    @property
    def standing(self) -> int:
        """Contacts that are still on their way."""
        return sum(step.standing for step in self.steps)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a batch waits for; `remedy` is the call that helps: retry, resume or upload."""

    kind: str
    step: str | None
    contacts: int | None
    since: datetime | None
    until: datetime | None
    reason: str | None
    remedy: str | None

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        since, until = _moment(raw.get("since")), _moment(raw.get("until"))
        told = (raw.get(name) for name in ("reason", "remedy"))
        return cls(raw["kind"], raw.get("step"), raw.get("contacts"), since, until, *told)


@dataclass(frozen=True, slots=True)
class Restart:
    """Whose contacts a batch started again with: those of `batch` that left the step, or any step, with an outcome."""

    batch: str
    outcome: str
    step: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch and its ledger, at one moment. `idle`: nothing happens before the time of a wait comes; `stuck`: contacts
    that only a retry takes up again; `rate` (contacts a second) only where the batch is watched."""

    id: str
    state: str
    journey: int
    name: str
    version: int | None
    starter: str
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    sends_until: datetime | None
    error: str | None
    waiting_for: str | None
    waiting: Waiting | None
    stuck: int
    idle: bool
    ledger: Ledger
    rate: float | None
    restart_of: Restart | None
    moved_from: str | None  # the batch in an older version whose waiting contacts it has
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """A batch from its JSON object; a server of another make may leave out what the protocol does not name."""
        return cls(
            id=raw["id"],
            state=raw["state"],
            journey=raw["journey"],
            name=raw.get("name", ""),
            version=raw.get("version"),
            starter=raw.get("starter", "batch"),
            created_at=_moment(raw.get("createdAt")),
            started_at=_moment(raw.get("startedAt")),
            finished_at=_moment(raw.get("finishedAt")),
            sends_until=_moment(raw.get("sendsUntil")),
            error=raw.get("error"),
            waiting_for=raw.get("waitingFor"),
            waiting=Waiting.of(raw["waiting"]) if raw.get("waiting") else None,
            stuck=raw.get("stuck", 0),
            idle=raw.get("idle", False),
            ledger=Ledger.of(raw["ledger"]),
            rate=raw.get("rate"),
            restart_of=Restart(**raw["restartOf"]) if raw.get("restartOf") else None,
            moved_from=raw.get("movedFrom"),
            raw=raw,
        )

    @property
    def ended(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.state in _ENDED

    @property
    def held(self) -> bool:
        """Whether it has been read whole and is held for review, until it is resumed or cancelled."""
        return self.waiting is not None and self.waiting.kind == "held"

    @property
    def reached_nobody(self) -> bool:
        """Whether messages failed and not one went out: then `completed` is no success."""
        outcomes = self.ledger.outcomes()
        return outcomes.get("failed", 0) > 0 and outcomes.get("sent", 0) == 0


@dataclass(frozen=True, slots=True)
class CameBack:
    """So many events of one name answered the messages of a step; `verdicts` of opened and clicked, by who it was."""

    step: str
    event: str
    events: int
    verdicts: Mapping[str, int]
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        return cls(raw["step"], raw["event"], raw["events"], raw["verdicts"], raw)


@dataclass(frozen=True, slots=True)
class Reject:
    """A refused row: its line (1-based), the byte at which it begins, why, and its first 200 characters."""

    line: int
    offset: int
    code: str
    message: str
    row: str
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        return cls(raw["line"], raw["offset"], raw["code"], raw["message"], raw["row"], raw)


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that is not written to on a channel; without a topic, about nothing but what it needs."""

    address: str
    channel: str
    topic: str | None
    reason: str
    at: datetime
    source: str
    who: str
    detail: str | None
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        return cls(
            address=raw["address"],
            channel=raw["channel"],
            topic=raw["topic"],
            reason=raw["reason"],
            at=datetime.fromisoformat(raw["at"]),
            source=raw["source"],
            who=raw["who"],
            detail=raw["detail"],
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What happened to one contact at one step; `standing` or `retrying` of one that has not left it."""

    contact: str
    line: int
    step: str
    outcome: str
    at: datetime
    detail: str | None
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        at = datetime.fromisoformat(raw["at"])
        return cls(raw["contact"], raw["line"], raw["step"], raw["outcome"], at, raw.get("detail"), raw)


@dataclass(frozen=True, slots=True)
class Return:
    """A bounce, a complaint or a reply; `hard` of a bounce that says that the address is bad for good."""

    contact: str
    step: str
    kind: str
    hard: bool
    code: str
    reason: str
    at: datetime
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        at = datetime.fromisoformat(raw["at"])
        return cls(raw["contact"], raw["step"], raw["kind"], raw["hard"], raw["code"], raw["reason"], at, raw)


@dataclass(frozen=True, slots=True)
class Stay:
    """A contact at one step. `why` is how a split or an A/B step chose, as the API tells it."""

    step: str
    at: datetime
    outcome: str
    detail: str | None
    why: Raw | None

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        at = datetime.fromisoformat(raw["at"])
        return cls(raw["step"], at, raw["outcome"], raw.get("detail"), raw.get("why"))


@dataclass(frozen=True, slots=True)
class ContactEntry:
    """A contact's way through one batch."""

    batch: str
    journey: int
    version: int
    line: int
    properties: Raw | None
    stays: list[Stay]

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        head = (raw["batch"], raw["journey"], raw["version"], raw["line"], raw["properties"])
        return cls(*head, list(map(Stay.of, raw["stays"])))


@dataclass(frozen=True, slots=True)
class Contact:
    """What happened to one contact in the newest `looked` batches, of `of_batches` whose contacts are kept."""

    id: str
    entries: list[ContactEntry]
    looked: int
    of_batches: int
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        entries = list(map(ContactEntry.of, raw["entries"]))
        return cls(raw["id"], entries, raw["looked"]["batches"], raw["looked"]["of"], raw)


@dataclass(frozen=True, slots=True)
class Journey:
    """A journey and its newest version."""

    journey: int
    name: str
    version: int
    published_at: datetime | None
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        return cls(raw["journey"], raw["name"], raw["version"], _moment(raw.get("publishedAt")), raw)


@dataclass(frozen=True, slots=True)
class Started:
    """A batch that was started; `upload_url` is where its file is to be PUT, if it waits for one."""

    batch: str
    upload_url: str | None = None


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that was taken. A store that takes it itself tells neither its size nor its SHA-256."""

    bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Commenced:
    """A contact that has entered, and the batch that it was put into."""

    contact: str
    batch: str


@dataclass(frozen=True, slots=True)
class SentTest:
    """What came of a test of a message step: `result` is "sent" where the other side took it."""

    result: str
    detail: str


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@dataclass(frozen=True, slots=True)
class ReportedEvent:
    """What a contact did. With `batch` and `step` it answers a message."""

    event: str
    at: datetime
    properties: Mapping[str, Any]
    source: str
    key: str | None
    batch: str | None
    step: str | None
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        return cls(
            event=raw["event"],
            at=datetime.fromisoformat(raw["at"]),
            properties=raw["properties"],
            source=raw["source"],
            key=raw.get("key"),
            batch=raw.get("batch"),
            step=raw.get("step"),
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class EventsTaken:
    """What became of events. `refusals` has the first thousand of a call: (place from 1, why)."""

    taken: int
    duplicates: int
    refused: int
    refusals: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, raw: Raw, before: int = 0) -> Self:
        """From its JSON object, for events of which so many were sent before."""
        refusals = tuple((before + each["line"], each["message"]) for each in raw["refusals"])
        return cls(raw["taken"], raw["duplicates"], raw["refused"], refusals)

    def __add__(self, other: "EventsTaken") -> "EventsTaken":
        return EventsTaken(
            self.taken + other.taken,
            self.duplicates + other.duplicates,
            self.refused + other.refused,
            self.refusals + other.refusals,
        )
