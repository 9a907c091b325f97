"""From a file of lines to the cohorts that enter: `read_contacts` does it whole, in bounded memory."""

from dataclasses import replace
from pathlib import Path

from caravan.errors import FileFailed, FileFailure
from caravan.intake.expand import Encoding, expand
from caravan.intake.limits import Limits, Progress, no_progress
from caravan.intake.parts import Part
from caravan.intake.receipt import Receipt
from caravan.intake.rejects import read_rejects
from caravan.intake.span import read_span
from caravan.intake.survey import Span
from caravan.intake.whole import check_beginning

__all__ = ["Limits", "Part", "Receipt", "read_contacts"]


def read_contacts(
    source: Path,
    folder: Path,
    limits: Limits,
    *,
    encoding: Encoding | None = None,
    progress: Progress | None = None,
) -> Receipt:
    """Reads a file of contacts into Parquet parts and a file of rejects, all in the empty local `folder`.

    Takes long and blocks: run it in a thread. `progress` hears now and then how many bytes are done and how many
    there are (while a compressed file is expanded: of those packed), and may raise to stop the reading; the exception
    comes out when all threads have ended, and what was written is left. Raises `FileFailed` for a file that can't be
    read as one (`empty`, `unreadable`, `json_array`, `too_large`). If no row of it can be used, the receipt says so
    in `failure`.
    """
    progress = progress or no_progress
    text = expand(source, folder, encoding, limits.expanded_bytes, progress)
    check_beginning(text, limits.row_bytes)
    everything = Span(0, text.stat().st_size, 1)
    read = read_span(text, 0, everything, folder, limits, progress=progress, with_ids=False)
    if text != source:
        text.unlink()
    failure = judge(read.lines - read.blank, read.entered, read.rejects)
    return replace(read, failure=failure)


def judge(rows: int, entered: int, rejects: Path | None) -> FileFailed | None:
    """Why no contact of a whole file enters, if that is so, when it had `rows` lines that were not blank. Raises
    `FileFailed` if it had none."""
    if not rows:
        raise FileFailed(FileFailure.EMPTY, "The file has only blank lines.")
    return None if entered else _all_bad(rows, rejects)


def _all_bad(rows: int, rejects: Path | None) -> FileFailed:
    assert rejects is not None, "Rows that were neither taken nor refused."
    first = next(read_rejects(rejects))
    if rows == 1:
        message = f"The only row can't be used. The problem on line {first.line}: {first.message}"
    else:
        message = f"None of the {rows:,} rows can be used. The first problem is on line {first.line}: {first.message}"
    return FileFailed(FileFailure.TOO_MANY_REJECTS, message)
