"""Which form of an answer a client asks for (RFC 9110 §12.5.1): a journey as JSON or as the text that was written, a
list as NDJSON or as CSV."""

from typing import Final

_WRITTEN: Final = {  # what is asked for, and the media type of the answer
    "application/yaml": "application/yaml",  # RFC 9512
    "application/x-yaml": "application/yaml",
    "text/yaml": "application/yaml",
    "text/x-yaml": "application/yaml",
    "text/plain": "text/plain",
    "text/*": "text/plain",
}


def wanted(accept: str) -> str | None:
    """The media type of the text as it was written, if `accept` prefers it to JSON; else None."""
    weights = dict(map(_weight, accept.lower().split(",")))
    asked = max(_WRITTEN, key=lambda each: weights.get(each, 0.0))
    written, json = weights.get(asked, 0.0), weights.get("application/json")
    if json is not None:
        return _WRITTEN[asked] if written > json else None
    any_kind = max(weights.get("application/*", 0.0), weights.get("*/*", 0.0))
    return _WRITTEN[asked] if 0 < written >= any_kind else None


def prefers_csv(accept: str) -> bool:
    """Whether `accept` names CSV and nothing that it likes better."""
    weights = dict(map(_weight, accept.lower().split(",")))
    csv = weights.get("text/csv", 0.0)
    return csv > 0 and csv >= max(weights.values())


def _weight(entry: str) -> tuple[str, float]:
    media, *parameters = (each.strip() for each in entry.split(";"))
    given = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    try:
        return media, float(given)
    except ValueError:
        return media, 0.0
