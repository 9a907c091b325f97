"""Every promise in docs/guarantees.md names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
PROMISED = PAGE.partition("## What is promised")[2].partition("\n## ")[0]


def test_every_promise_names_a_test() -> None:
    promises = re.split(r"^\*\*\d+\. ", PROMISED, flags=re.MULTILINE)[1:]
    assert len(promises) >= 9
    for promise in promises:
        assert re.search(r"^- `tests/", promise, re.MULTILINE), promise[:60]


def test_every_named_test_exists() -> None:
    named = re.findall(r"^- `(tests/\S+\.py): (\w+)`$", PROMISED, re.MULTILINE)
    assert len(named) == len(re.findall(r"^- ", PROMISED, re.MULTILINE))
    for file, test in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {test}\(", text, re.MULTILINE), (file, test)
