"""The receipt of a file: how many lines it had and what became of each, for people and for programs."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from caravan.errors import FileFailed
from caravan.intake.parts import Part
from caravan.intake.rejects import RejectCode

EXAMPLES = 5  # line numbers that are shown for each code


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the lines of a span: each is blank, in a part, or rejected. A whole file is one span."""

    lines: int
    blank: int
    rejected: dict[RejectCode, int]  # only codes that occur
    parts: list[Part]  # in the order of the lines
    rejects: Path | None
    ids: Path | None = None  # of all contacts, if wanted: hash UBIGINT, line BIGINT, id VARCHAR, nearly in their order
    failure: FileFailed | None = None  # why no contact of a whole file enters

    @property
    def entered(self) -> int:
        """The contacts in the parts."""
        return sum(part.size for part in self.parts)

    def __post_init__(self) -> None:
        rest = self.lines - self.blank - sum(self.rejected.values())
        assert rest == self.entered, "The ledger doesn't balance."


def tell(receipt: Receipt) -> str:
    """The receipt for people, in lines: counts, and of each reject code the first line numbers."""
    counts = [("lines", receipt.lines), ("blank", receipt.blank), ("entered", receipt.entered)]
    lines = [f"{name:<16}{count:>15,}" for name, count in counts]
    lines.append(f"{'rejected':<16}{sum(receipt.rejected.values()):>15,}")
    examples = first_lines(receipt)
    for code, count in sorted(receipt.rejected.items()):
        shown = ", ".join(f"{line:,}" for line in examples[code])
        more = ", …" if count > len(examples[code]) else ""
        lines.append(f"  {code:<14}{count:>15,}   line{'s' if count > 1 else ''} {shown}{more}")
    if receipt.failure:
        lines.append(receipt.failure.message)
    return "\n".join(lines)


def to_json(receipt: Receipt) -> dict[str, object]:
    """The receipt for programs; codes as their names."""
    return {
        "lines": receipt.lines,
        "blank": receipt.blank,
        "entered": receipt.entered,
        "rejected": {code.value: count for code, count in sorted(receipt.rejected.items())},
        "first_lines": {code.value: lines for code, lines in sorted(first_lines(receipt).items())},
        "error": {"code": receipt.failure.code.value, "message": receipt.failure.message} if receipt.failure else None,
    }


def first_lines(receipt: Receipt) -> dict[RejectCode, list[int]]:
    """The first line numbers of each code that occurs."""
    found: dict[RejectCode, list[int]] = {code: [] for code in receipt.rejected}
    if receipt.rejects is None:
        return found
    wanted = {code: min(count, EXAMPLES) for code, count in receipt.rejected.items()}
    with pq.ParquetFile(receipt.rejects) as file:
        for batch in file.iter_batches(columns=["line", "code"]):
            _collect(found, batch["line"].to_pylist(), batch["code"].to_pylist())
            if all(len(found[code]) == count for code, count in wanted.items()):
                break
    return found


def _collect(found: dict[RejectCode, list[int]], lines: list[int], codes: list[str]) -> None:
    for line, code in zip(lines, codes, strict=True):
        if len(found[RejectCode(code)]) < EXAMPLES:
            found[RejectCode(code)].append(line)
