"""What an operator is told of the installation, and when something is to be done."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from caravan.queries.system import ChannelReach, Disk, Lateness, SystemState
from caravan.queries.system_findings import GIB, Finding, Verdict, findings, queue_findings, size, spell, worst
from caravan.store.metrics import Heartbeats
from caravan.store.system import DatabaseState, Hindered, QueueCounts, Stuck

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WELL = SystemState(
    missing=[],
    heartbeats=Heartbeats(heard=7, last=1.0, silent=None),
    queues=[QueueCounts("advance", 0, 3, 0, None)],
    running=[],
    stuck=[],
    hindered=[],
    database=DatabaseState("18.0", 97, 10, 8, 1, None, 10 << 20),
    channels=[ChannelReach("email", 2.0, 1.0)],
    lateness=Lateness(0, []),
    disks=[Disk("Data folder", "/data", 100 * GIB, 50 * GIB)],
    store="the folder /data/files",
    schema=(18, 18),
    versions=[("Caravan", "0.1.0")],
    has_relay=True,
)


def told(state: SystemState) -> list[Finding]:
    """What is not well."""
    return [each for each in findings(state) if each.verdict is not Verdict.GOOD]


def test_where_all_is_well_nothing_is_to_be_done() -> None:
    assert worst(WELL) is Verdict.GOOD
    assert told(WELL) == []
    assert all(each.remedy is None and each.meaning for each in findings(WELL))


@pytest.mark.parametrize(
    ("change", "name", "verdict"),
    [
        ({"missing": ["PostgreSQL does not answer."]}, "Ready", Verdict.BAD),
        ({"heartbeats": Heartbeats(0, None, None)}, "Workers", Verdict.BAD),
        ({"heartbeats": Heartbeats(0, 900.0, 900.0)}, "Workers", Verdict.BAD),
        ({"heartbeats": Heartbeats(3, 1.0, 20.0)}, "Workers", Verdict.WATCH),
        ({"heartbeats": Heartbeats(3, 1.0, 60.0)}, "Workers", Verdict.BAD),
        ({"stuck": [Stuck(1, "b_1", "mail", "no", 5, NOW)]}, "Stuck contacts", Verdict.BAD),
        ({"hindered": [Hindered(1, "b_1", "no")]}, "Stuck contacts", Verdict.WATCH),
        ({"has_relay": False}, "Mail", Verdict.WATCH),
        ({"channels": [ChannelReach("email", 1.0, 2.0)]}, "Channel email", Verdict.BAD),
        ({"database": replace(WELL.database, connections=90)}, "Connections", Verdict.BAD),
        ({"database": replace(WELL.database, longest=600.0)}, "Longest transaction", Verdict.WATCH),
        ({"disks": [Disk("Data folder", "/data", 100, 15)]}, "Data folder", Verdict.WATCH),
        ({"disks": [Disk("Data folder", "/data", 100, 4)]}, "Data folder", Verdict.BAD),
        ({"schema": (17, 18)}, "Schema", Verdict.WATCH),
        ({"schema": (19, 18)}, "Schema", Verdict.WATCH),
    ],
)
def test_what_is_not_well_is_told_with_what_to_do(change: dict[str, object], name: str, verdict: Verdict) -> None:
    state = replace(WELL, **change)  # type: ignore[arg-type]
    (found,) = told(state)
    assert (found.name, found.verdict) == (name, verdict)
    assert found.remedy
    assert worst(state) is verdict


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        (QueueCounts("deliver", 5, 0, 0, 10.0), Verdict.GOOD),
        (QueueCounts("deliver", 5, 0, 2, 90.0), Verdict.WATCH),
        (QueueCounts("deliver", 5, 0, 0, 90.0), Verdict.BAD),
    ],
)
def test_a_queue_that_nobody_serves_is_bad_and_a_long_one_worth_a_look(counts: QueueCounts, verdict: Verdict) -> None:
    state = replace(WELL, queues=[counts])
    (found,) = queue_findings(state)
    assert found.verdict is verdict is worst(state)
    assert found.meaning == "Sends messages."
    assert (found.remedy is None) is (verdict is Verdict.GOOD)


def test_times_and_sizes_have_the_unit_that_fits() -> None:
    assert [spell(each) for each in (0.2, 59, 60, 7200, 200_000)] == ["0 s", "59 s", "1 min", "2 h", "2 d"]
    assert [size(each) for each in (512, 3 << 20, GIB * 3 // 2, 5 << 40)] == ["0 KiB", "3.0 MiB", "1.5 GiB", "5.0 TiB"]
