"""The contacts of the demo: made the same each time, with names in many scripts, and some rows bad on purpose."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from caravan.intake.rejects import RejectCode
from caravan.samples import BAD_ROWS, NAMES

#: The three of the page that describes the batch starter, with addresses.
SEED = [
    {
        "id": "0",
        "properties": {"emailAddress": "bruce@example.com", "firstname": "Bruce", "attributeName": "yes"},
    },
    {
        "id": "1",
        "properties": {"emailAddress": "aretha@example.com", "firstname": "Aretha", "attributeName": "yes"},
    },
    {
        "id": "2",
        "properties": {"emailAddress": "lady@example.com", "firstname": "Lady", "attributeName": "no"},
    },
]

_BAD = (*BAD_ROWS, (b'{"id": "c-1", "properties": {"firstname": "Again"}}', RejectCode.DUPLICATE))


@dataclass(slots=True)
class Made:
    """A file of contacts and what should come of it."""

    path: Path
    lines: int = 0
    entered: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    recipients: list[str] = field(default_factory=list)


def write_seed(path: Path) -> Made:
    """The seed page's file."""
    path.write_text("".join(json.dumps(each) + "\n" for each in SEED), encoding="utf-8")
    recipients = [str(each["properties"]["emailAddress"]) for each in SEED]  # type: ignore[index]
    return Made(path, lines=3, entered=3, recipients=recipients)


def write_many(path: Path, count: int) -> Made:
    """A file of `count` rows, one in a hundred bad."""
    made = Made(path)
    with path.open("wb") as file:
        for row, code in _rows(count):
            file.write(row + b"\n")
            made.lines += 1
            if code is None:
                made.entered += 1
                made.recipients.append(f"c{made.lines}@example.com")
            else:
                made.rejected[code] += 1
    return made


def _rows(count: int) -> Iterator[tuple[bytes, RejectCode | None]]:
    for number in range(1, count + 1):
        if number % 100 == 0:
            yield _BAD[number // 100 % len(_BAD)]
            continue
        properties = {
            "emailAddress": f"c{number}@example.com",
            "firstname": NAMES[number % len(NAMES)],
            "attributeName": "yes" if number % 3 else "no",
            "city": "Malmö" if number % 2 else "København",
            "ltv": number % 500,
        }
        yield json.dumps({"id": f"c-{number}", "properties": properties}, ensure_ascii=False).encode(), None
