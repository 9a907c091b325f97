"""`caravan bench` works, and its ledger balances. Never a time: that depends on the machine."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return run(*arguments, "--repeats", "1")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "caravan", "bench", *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CARAVAN_")}
    return subprocess.run(command, env=kept, capture_output=True, text=True, timeout=300)


def found(*arguments: str) -> list[dict[str, Any]]:
    done = bench(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    for each in findings:
        assert each["balances"]
        ledger = each["ledger"]
        assert ledger["lines"] == ledger["entered"] + sum(ledger["rejected"].values()) + ledger["blank"]
        for step in ledger["steps"]:
            assert step["arrived"] == step["standing"] + sum(step["outcomes"].values())
    return findings


def test_intake_reads_two_hundred_thousand_rows_and_its_ledger_balances() -> None:
    (finding,) = found("intake", "--rows", "200000")
    assert finding["ledger"]["lines"] == 200_000
    assert finding["ledger"]["rejected"]["duplicate"] == 199


def test_intake_prints_a_table_for_people() -> None:
    """Of every variant tests/unit/bench/test_inputs.py shows that it is read."""
    done = bench("intake", "--rows", "3000", "--variant", "gzip")
    assert done.returncode == 0, done.stderr
    assert "× the yardstick's time" in done.stdout
    assert "gzip" in done.stdout


@pytest.mark.long
def test_entry_brings_everyone_past_a_split_into_a_wait_by_one_worker_and_by_two() -> None:
    (finding,) = found("entry", "--rows", "3000", "--workers", "2")
    assert sum(step["standing"] for step in finding["ledger"]["steps"]) == finding["ledger"]["entered"]
    assert [step["outcomes"] for step in finding["ledger"]["steps"]] == [{"passed": 2983}, {}, {}]
    _check_several(finding)


@pytest.mark.long
def test_all_contacts_of_wait_move_on() -> None:
    (finding,) = found("wait", "--rows", "3000")
    assert finding["ledger"]["steps"][0]["outcomes"] == {"passed": finding["ledger"]["entered"]}


@pytest.mark.parametrize(("variant", "rows", "workers"), [("2kb", 4_000, 2), ("30kb", 300, 1)])
@pytest.mark.long
def test_all_mails_of_email_are_sent(variant: str, rows: int, workers: int) -> None:
    (finding,) = found("email", "--rows", str(rows), "--variant", variant, "--workers", str(workers))
    assert finding["variant"] == variant
    assert finding["ledger"]["steps"][0]["outcomes"] == {"sent": rows}
    if workers > 1:
        _check_several(finding)


def _check_several(finding: dict[str, Any]) -> None:
    several = finding["several"]
    assert several["workers"] == 2
    assert len(several["runs"]) == len(finding["caravan"]["runs"]) == 1
    assert several["speedup"]["median"] == finding["caravan"]["runs"][0] / several["runs"][0]
    assert {"CPU of the busiest worker", "CPU of the least busy"} <= several["facts"].keys()


@pytest.mark.long
def test_all_calls_of_webhook_are_made() -> None:
    (finding,) = found("webhook", "--rows", "300")
    assert finding["ledger"]["steps"][0]["outcomes"] == {"sent": 300}


@pytest.mark.long
def test_api_calls_beside_a_batch_that_is_read_and_beside_nothing() -> None:
    done = bench("api", "--rows", "100000", "--idle", "2", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {each["phase"] for each in found["findings"]} >= {"idle", "reading"}
    assert all(0 < each["p50"]["median"] <= each["p99"]["median"] <= each["slowest"] for each in found["findings"])
    assert found["ledger"]["lines"] == 100_000


@pytest.mark.long
def test_single_starts_beside_a_bare_route() -> None:
    done = bench("single", "--seconds", "1", "--connections", "4", "--rate", "50", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [each["side"] for each in found["findings"]] == ["caravan", "caravan", "yardstick", "yardstick"]
    assert all(0 < each["p50"] <= each["p99"] <= each["slowest"] for each in found["findings"])
    (step, _) = found["ledger"]["steps"]
    assert step["standing"] == found["ledger"]["entered"] > 0


@pytest.mark.long
def test_what_comes_beside_a_large_batch_and_beside_nothing() -> None:
    done = run("fair", "--rows", "8000", "--probes", "2", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {each["phase"] for each in found["findings"]} == {"idle", "busy"}
    assert all(each["p50"] <= each["p99"] <= each["slowest"] for each in found["findings"])
    assert 0 <= found["share_of_second"] <= 1
    assert [ledger["entered"] for ledger in found["ledgers"]] == [8000, 4000, 4000]


@pytest.mark.long
def test_pages_of_the_console_beside_a_batch_that_is_sent_and_beside_nothing() -> None:
    options = ["--rows", "30000", "--pages", "20", "--seconds", "2", "--visits", "3"]
    done = run("console", *options, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert all(0 < each["p50"] <= each["p95"] <= each["slowest"] for each in found["findings"])
    assert all(each["first"] > each["later"] > 0 for each in found["weights"])
    events = {(each["phase"], each["pages"]): each["events"] for each in found["open_pages"]}
    assert events["a batch is sent", 20] > events["a batch is sent", 0] == 0
    ledger = found["ledger"]
    assert ledger["lines"] == 30_000 == ledger["entered"] + sum(ledger["rejected"].values())
