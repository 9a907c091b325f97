"""What reading made of a file goes into the store: the files of its cohorts, its rejects and its ids."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from caravan.intake import receipt as intake
from caravan.intake.parse import hash_family
from caravan.intake.parts import Part as LocalPart
from caravan.intake.parts import lines_of
from caravan.store.batches import Batch
from caravan.store.cohorts import Part, with_lines
from caravan.store.files import Draft
from caravan.store.spans import Receipt

_PUTS_AT_ONCE = 4


def store_receipt(draft: Draft, batch: Batch, read: intake.Receipt) -> Receipt:
    """Put all files of a receipt into the store. Blocks."""
    return Receipt(
        lines=read.lines,
        blank=read.blank,
        rejected={code.value: count for code, count in read.rejected.items()},
        parts=store_parts(draft, batch, read.parts),
        rejects=store(draft, batch, read.rejects, "rejects") if read.rejects else None,
        ids=store(draft, batch, read.ids, "ids") if read.ids else None,
        hash_family=hash_family() if read.ids else "",
    )


def store_parts(draft: Draft, batch: Batch, parts: list[LocalPart]) -> list[Part]:
    """Put cohort files into the store: some at once, for a store that is far away. Blocks."""
    with ThreadPoolExecutor(_PUTS_AT_ONCE) as pool:
        names = pool.map(lambda each: store(draft, batch, each.path, "cohort", lines_of(each.path)), parts)
        return [Part(name, part.size) for name, part in zip(names, parts, strict=True)]


def store(draft: Draft, batch: Batch, path: Path, kind: str, lines: tuple[int, int] | None = None) -> str:
    """Move a file that nothing names yet into the batch's folder of the store; its name there, with the lines that it
    has if they are given. Blocks."""
    name = f"{batch.folder}/{kind}-{path.stem}-{secrets.token_hex(4)}.parquet"
    if lines is not None:
        name = with_lines(name, *lines)
    draft.put(path, name)
    return name
