"""What the command line says of a batch, and when it counts as well."""

import pytest

from caravan.cli.watching import foretold, well
from caravan.client import Batch, Preflight

LEDGER = {"lines": 1, "blank": 0, "entered": 1, "rejected": {}, "steps": []}


@pytest.mark.parametrize(
    ("state", "idle", "held", "until", "good"),
    [
        ("completed", True, False, "completed", True),
        ("completed", True, False, "sent", True),
        ("running", True, False, "sent", True),
        ("paused", False, True, "held", True),
        ("running", False, False, "sent", False),
        ("failed", True, False, "sent", False),
        ("cancelled", True, False, "sent", False),
        ("cancelled", True, False, "held", False),
    ],
)
def test_only_an_end_that_was_wanted_is_well(state: str, idle: bool, held: bool, until: str, good: bool) -> None:
    waiting = {"kind": "held"} if held else None
    raw = {"id": "b_1", "state": state, "journey": 1, "ledger": LEDGER, "idle": idle, "waiting": waiting}
    assert well(Batch.of(raw), until) is good


def test_a_preflight_is_told_in_lines() -> None:
    sample = {"contact": "c1", "to": "c1@example.com", "subject": "Hello", "text": "a\nb", "html": None}
    messages = {"step": "offer", "noRecipient": 12, "missing": {"name": 3}, "samples": [sample], "looked": 20_000}
    branches = [{"step": "vip", "to": "offer", "contacts": 1200}, {"step": "vip", "to": None, "contacts": 0}]
    told = {"accepted": 1200, "rejected": {"not_json": 2}, "branches": branches, "messages": [messages]}
    assert foretold(Preflight.of(told)).splitlines() == [
        "accepted 1,200",
        "rejected as not_json: 2",
        "vip -> offer: 1,200",
        "vip -> the end: 0",
        "offer: 12 without a usable recipient (of 20,000 that were looked at)",
        "  name is empty for 3",
        "  c1 to c1@example.com: Hello",
        "    a",
        "    b",
    ]
