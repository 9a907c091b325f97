"""The parts of the benchmarks: letters, sinks, lateness, ledgers and the report."""

import http.client
import json
import smtplib
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from caravan.bench.inputs import Made
from caravan.bench.letter import letter
from caravan.bench.measure import Pairs, Run
from caravan.bench.report import Finding, Report
from caravan.bench.sinks import http_sink, sandbox_sink
from caravan.bench.system import Unbalanced, check_ledger
from caravan.bench.wait import Moved, median
from caravan.channels.registry import STEP_TYPES
from caravan.journeys.definition import read_journey


@pytest.mark.parametrize("octets", [2_000, 30_000])
def test_a_letter_has_the_wanted_size_and_is_a_journey(octets: int) -> None:
    written = letter(octets)
    assert octets <= written.octets() < octets * 1.25
    assert read_journey(written.journey(), STEP_TYPES).entry.id == "mail"


def test_letters_are_personal() -> None:
    assert letter(2_000).octets(1) != letter(2_000).octets(4)


def test_the_http_sink_answers_and_counts() -> None:
    with http_sink() as (port, count):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for body in ("", "x" * 100_000):
            connection.request("POST", "/hooks", body)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
        connection.close()
        assert count() == 2


def test_the_sandbox_sink_takes_mail() -> None:
    with sandbox_sink() as port, smtplib.SMTP("127.0.0.1", port) as relay:
        assert relay.sendmail("a@example.com", ["b@example.com"], "Subject: x\r\n\r\ny\r\n") == {}


def test_the_median_lateness_is_that_of_contacts_not_of_cohorts() -> None:
    assert median([Moved(0.1, 10), Moved(0.2, 10), Moved(0.9, 100)]) == 0.9
    assert median([Moved(0.1, 100), Moved(0.9, 10)]) == 0.1


def a_ledger(**changes: Any) -> dict[str, Any]:
    step = {"step": "a", "arrived": 8, "standing": 3, "outcomes": {"passed": 5}}
    return {"lines": 10, "blank": 0, "entered": 8, "rejected": {"not_json": 2}, "steps": [step], **changes}


def a_file() -> Made:
    made = Made(Path("x"), lines=10, entered=8)
    made.rejected["not_json"] = 2
    return made


def test_a_ledger_that_is_right_passes() -> None:
    check_ledger(a_ledger(), a_file())


@pytest.mark.parametrize(
    "wrong",
    [
        {"lines": 9},
        {"entered": 7},
        {"blank": 1},
        {"rejected": {"not_json": 1, "bad_id": 1}},
        {"steps": [{"step": "a", "arrived": 8, "standing": 2, "outcomes": {"passed": 5}}]},
    ],
)
def test_a_ledger_that_is_wrong_fails_the_benchmark(wrong: dict[str, Any]) -> None:
    with pytest.raises(Unbalanced):
        check_ledger(a_ledger(**wrong), a_file())


def a_report() -> Report:
    ours = [Run(seconds, {"worker": 2.0, "serve": 1.0}, 300 << 20, {"late by": 0.5}) for seconds in (2.0, 4.0, 3.0)]
    theirs = [Run(1.0, {"other": 1.5}, 100 << 20)] * 3
    return Report("entry", 1_000, "a yardstick", [Finding("standard", 900, 5_000, Pairs(ours, theirs), a_ledger())])


def test_the_json_holds_medians_spread_ratio_rate_cpu_and_memory() -> None:
    found = json.loads(json.dumps(a_report().as_json()))["findings"][0]
    assert found["caravan"]["seconds"] == {"median": 3.0, "low": 2.0, "high": 4.0}
    assert found["caravan"]["contacts_per_second"] == 300
    assert found["caravan"]["cpu_seconds"] == 3.0
    assert found["caravan"]["peak_bytes"] == 300 << 20
    assert found["time_ratio"] == {"median": 3.0, "low": 2.0, "high": 4.0}
    assert found["rate_ratio"]["median"] == pytest.approx(1 / 3)
    assert found["cpu_ratio"] == 2.0


def test_the_table_shows_both_sides_and_the_ratio() -> None:
    out = StringIO()
    a_report().show(Console(file=out, width=110))
    for words in ("caravan", "yardstick", "2.00 – 4.00", "3.00 × the yardstick's time", "late by: 0.500 s"):
        assert words in out.getvalue()


def a_report_of_two_workers() -> Report:
    ours, theirs = ([Run(seconds, {"worker": 2.0}, 1)] * 2 for seconds in (3.0, 1.0))
    shared = [Run(seconds, {"worker": 2.2}, 1, {"CPU of the busiest worker": 1.2}) for seconds in (1.5, 2.0)]
    pairs = Pairs(ours, theirs, shared, workers=2)
    return Report("email", 900, "a yardstick", [Finding("2kb", 900, 5_000, pairs, a_ledger())])


def test_several_workers_have_a_side_of_their_own_and_are_compared_with_one() -> None:
    found = json.loads(json.dumps(a_report_of_two_workers().as_json()))["findings"][0]["several"]
    assert found["workers"] == 2
    assert found["seconds"] == {"median": 1.75, "low": 1.5, "high": 2.0}
    assert found["speedup"] == {"median": 1.75, "low": 1.5, "high": 2.0}
    out = StringIO()
    a_report_of_two_workers().show(Console(file=out, width=110))
    for words in ("2 workers ", "2 workers are 1.75 × as fast as one (1.50 – 2.00)", "busiest worker: 1.200 s"):
        assert words in out.getvalue()


def test_without_more_workers_there_is_no_such_side() -> None:
    assert "several" not in a_report().as_json()["findings"][0]
