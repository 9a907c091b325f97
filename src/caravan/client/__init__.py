"""The Python SDK: start batches on any server that speaks the protocol, follow them, and steer them on Caravan.

with Client("http://127.0.0.1:8080", 1001, "crv_…") as caravan:
    started = caravan.start_file(4711, Path("contacts.ndjson"), key="spring-2026-05-04")
    batch = caravan.wait(started.batch)
    print(batch.state, batch.ledger.outcomes())
"""

from caravan.client.answers import (
    Batch,
    CameBack,
    Commenced,
    Contact,
    ContactEntry,
    EventsTaken,
    JournalEntry,
    Journey,
    Ledger,
    Reject,
    ReportedEvent,
    Restart,
    Return,
    SentTest,
    Started,
    Stay,
    StepCounts,
    Suppression,
    Uploaded,
    Waiting,
)
from caravan.client.async_client import AsyncClient
from caravan.client.client import Client
from caravan.client.foretold import Branch, Exit, Preflight, Sample, StepMessages
from caravan.client.moves import Moves, StandingContacts
from caravan.client.transport import CallFailed, new_key

__all__ = [
    "AsyncClient",
    "Batch",
    "Branch",
    "CallFailed",
    "CameBack",
    "Client",
    "Commenced",
    "Contact",
    "ContactEntry",
    "EventsTaken",
    "Exit",
    "JournalEntry",
    "Journey",
    "Ledger",
    "Moves",
    "Preflight",
    "Reject",
    "ReportedEvent",
    "Restart",
    "Return",
    "Sample",
    "SentTest",
    "StandingContacts",
    "Started",
    "Stay",
    "StepCounts",
    "StepMessages",
    "Suppression",
    "Uploaded",
    "Waiting",
    "new_key",
]
