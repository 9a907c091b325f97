"""Which form of a journey a client gets for its `Accept`."""

import pytest

from caravan.api.accept import prefers_csv, wanted


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/json", "application/json, application/yaml", "text/html,*/*;q=0.8", "application/*",
     "application/yaml;q=0.5, application/json", "application/yaml;q=0", "application/yaml;q=x", "image/png", ";;,=",
     "application/yaml;q=nan"],
)  # fmt: skip
def test_json_is_answered_unless_the_text_is_preferred(accept: str) -> None:
    assert wanted(accept) is None


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("application/yaml", "application/yaml"),
        ("TEXT/YAML", "application/yaml"),
        ("application/x-yaml; charset=utf-8", "application/yaml"),
        ("text/plain", "text/plain"),
        ("text/*", "text/plain"),
        ("text/plain, */*", "text/plain"),
        ("application/json;q=0.5, application/yaml", "application/yaml"),
        ("text/plain;q=0.3, application/yaml;q=0.9", "application/yaml"),
    ],
)
def test_the_text_is_answered_to_who_prefers_it(accept: str, media: str) -> None:
    assert wanted(accept) == media


@pytest.mark.parametrize(
    ("accept", "csv"),
    [
        ("", False),
        ("*/*", False),
        ("text/csv", True),
        ("text/csv, application/x-ndjson", True),
        ("text/csv;q=0.5, application/x-ndjson", False),
        ("text/csv, */*;q=0.8", True),
        ("text/csv;q=0", False),
        ("text/html, */*", False),
    ],
)
def test_csv_is_sent_to_whoever_names_it_and_likes_nothing_better(accept: str, csv: bool) -> None:
    assert prefers_csv(accept) is csv
