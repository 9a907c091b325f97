"""What made-up files consist of, the demo's and the benchmarks': names in many scripts, and rows that are bad."""

from typing import Final

from caravan.intake.rejects import RejectCode

NAMES: Final = (
    "Zoë",
    "Jürgen",
    "Łukasz",
    "Søren",
    "Nguyễn",
    "Ольга",
    "Γιώργος",
    "さくら",
    "محمد",
    "Siân",
    "İpek",
    "Ana",
)

#: Each kind of bad row, and what it is rejected as.
BAD_ROWS: Final[tuple[tuple[bytes, RejectCode], ...]] = (
    (b'{"id": "x", "properties": {"firstname": "half a r', RejectCode.NOT_JSON),
    (b'{"id": "x", "properties": {"firstname": "Zo\xeb"}}', RejectCode.NOT_UTF8),
    (b'["id", "x"]', RejectCode.NOT_OBJECT),
    (b'{"properties": {"firstname": "Nobody"}}', RejectCode.MISSING_ID),
    (b'{"id": 1.5, "properties": {}}', RejectCode.BAD_ID),
    (b'{"id": "x", "properties": ["firstname", "Ana"]}', RejectCode.BAD_PROPERTIES),
)
