"""How the console says sizes and values."""

import pytest

from caravan.console.rendering import count, duration, moments, reason, shown, size
from caravan.intake.rejects import RejectCode


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (99_400, "99.4 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_306_166_670, "1.3 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_a_size_is_said_in_the_unit_that_people_use(number: int, said: str) -> None:
    assert size(number) == said


@pytest.mark.parametrize(("value", "text"), [("as it is", "as it is"), (7, "7"), (None, "null"), (["å"], '["å"]')])
def test_a_property_is_shown_as_text_or_as_json(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_long_property_is_cut() -> None:
    assert len(shown("x" * 1_000_000)) == 120
    assert shown("x" * 1_000_000).endswith("…")


@pytest.mark.parametrize(("number", "said"), [(None, "–"), (0.0, "0"), (12.5, "12.5"), (1_234_567, "1,234,567")])
def test_a_number_is_grouped_and_whole_where_it_can_be(number: float | None, said: str) -> None:
    assert count(number) == said


def test_the_moments_of_a_sentence_are_shown_in_the_readers_zone_and_the_rest_is_escaped() -> None:
    made = moments("3 contacts at <b> wait until 2026-11-29 02:55:04 UTC & on")
    assert made == (
        "3 contacts at &lt;b&gt; wait until "
        '<local-time><time datetime="2026-11-29T02:55:04Z">2026-11-29 02:55 UTC</time></local-time> &amp; on'
    )


@pytest.mark.parametrize("sentence", ["nothing to see", "2026-19-39 99:99:99 UTC"])
def test_a_sentence_without_a_moment_stays_as_it_is(sentence: str) -> None:
    assert moments(sentence) == sentence


def test_each_reason_of_a_rejected_row_has_words_of_its_own() -> None:
    said = {code: reason(code) for code in RejectCode}
    assert len(set(said.values())) == len(RejectCode)
    assert not any("_" in each for each in said.values())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "1 s"), (39.6, "40 s"), (180, "3 min"), (7_800, "2 h 10 min"), (7_170, "2 h 0 min"), (432_000, "5 days")],
)
def test_what_is_left_is_said_about(seconds: float, said: str) -> None:
    assert duration(seconds) == said
