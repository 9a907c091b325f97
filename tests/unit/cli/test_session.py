"""What commands have in common."""

import logging

from caravan.cli.session import Seldom


def _record(level: int, words: str) -> logging.LogRecord:
    return logging.LogRecord("caravan", level, __file__, 1, "%s", (words,), None)


def test_a_warning_that_repeats_is_told_once_and_everything_else_always() -> None:
    seldom = Seldom(seconds=3600)
    told = [seldom.filter(_record(logging.WARNING, words)) for words in ("away", "away", "full", "away")]
    assert told == [True, False, True, False]
    assert all(seldom.filter(_record(logging.ERROR, "broken")) for _ in range(2))
    assert all(Seldom(seconds=0).filter(_record(logging.WARNING, "away")) for _ in range(2))


def test_of_many_different_ones_it_keeps_few_in_mind() -> None:
    seldom = Seldom(seconds=3600, most=3)
    assert all(seldom.filter(_record(logging.WARNING, str(number))) for number in range(100))
    assert len(seldom._told) <= 3
