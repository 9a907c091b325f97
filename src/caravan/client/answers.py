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
    error: str | None
    waiting_for: str | None
    waiting: Waiting | None
    stuck: int
    idle: bool
    ledger: Ledger
    rate: float | None
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
            error=raw.get("error"),
            waiting_for=raw.get("waitingFor"),
            waiting=Waiting.of(raw["waiting"]) if raw.get("waiting") else None,
            stuck=raw.get("stuck", 0),
            idle=raw.get("idle", False),
            ledger=Ledger.of(raw["ledger"]),
            rate=raw.get("rate"),
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
class Branch:
    """How many contacts go from a split or an A/B step to the step `to`; None is the end of the journey."""

    step: str
    to: str | None
    contacts: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One message as its reader would see it; None for what its channel does not have."""

    contact: str
    to: str
    subject: str | None
    text: str | None
    html: str | None


@dataclass(frozen=True, slots=True)
class StepMessages:
    """What would come of the messages of a step: contacts without a usable recipient, and for how many contacts which
    placeholder comes out empty. Counted over `looked` contacts; None: over all."""

    step: str
    no_recipient: int
    missing: Mapping[str, int]
    samples: tuple[Sample, ...]
    looked: int | None

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        names = ("contact", "to", "subject", "text", "html")
        samples = tuple(Sample(*(each.get(name) for name in names)) for each in raw["samples"])
        return cls(raw["step"], raw["noRecipient"], raw["missing"], samples, raw.get("looked"))


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was read of a batch that is held, and what it would do if it were resumed now."""

    accepted: int
    rejected: Mapping[str, int]
    branches: tuple[Branch, ...]
    messages: tuple[StepMessages, ...]
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        branches = tuple(Branch(each["step"], each["to"], each["contacts"]) for each in raw["branches"])
        messages = tuple(map(StepMessages.of, raw["messages"]))
        return cls(raw["accepted"], raw["rejected"], branches, messages, raw)


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


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
