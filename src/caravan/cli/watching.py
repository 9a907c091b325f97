"""A batch as the command line shows it: in words, and as a progress display while it is followed."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from caravan.client import Batch, CameBack, Preflight
    from caravan.client.rows import RowProgress

Progress = Callable[[int, int], None]


def line(batch: "Batch") -> str:
    """A batch in one line."""
    created = f"{batch.created_at:%Y-%m-%d %H:%M}" if batch.created_at else " " * 16
    rejected = sum(batch.ledger.rejected.values())
    counts = f"{batch.ledger.entered:,} entered, {rejected:,} rejected, {batch.ledger.standing:,} standing"
    journey = f"journey {batch.journey}{f' {batch.name}' if batch.name else ''}"
    return f"{batch.id}  {created}  {batch.state:<15} {journey}: {counts}"


def report(batch: "Batch") -> str:
    """All that there is to say of a batch."""
    ledger = batch.ledger
    lines = [line(batch)]
    if batch.reached_nobody and batch.ended:
        lines.append(
            f"  NOBODY WAS REACHED: all {ledger.outcomes()['failed']:,} messages failed; see `caravan batch journal`"
        )
    if batch.restart_of is not None:
        of = batch.restart_of
        lines.append(f"  started again with those who left {of.step or 'a step'} of {of.batch} as {of.outcome}")
    if batch.moved_from is not None:
        lines.append(f"  those who waited in an older version in {batch.moved_from}")
    lines += [f"  {name}: {said}" for name, said in (("error", batch.error), ("waiting", batch.waiting_for)) if said]
    lines.append(f"  lines {ledger.lines:,}, blank {ledger.blank:,}, entered {ledger.entered:,}")
    lines += [f"  rejected as {code}: {count:,}" for code, count in sorted(ledger.rejected.items())]
    for step in ledger.steps:
        outcomes = ", ".join(f"{name} {count:,}" for name, count in sorted(step.outcomes.items()))
        lines.append(f"  {step.step}: arrived {step.arrived:,}, standing {step.standing:,}; {outcomes}".rstrip("; "))
    return "\n".join(lines)


def foretold(found: "Preflight") -> str:
    """A preflight in words."""
    lines = [f"accepted {found.accepted:,}"]
    lines += [f"rejected as {code}: {count:,}" for code, count in sorted(found.rejected.items())]
    lines += [f"{each.step} -> {each.to or 'the end'}: {each.contacts:,}" for each in found.branches]
    lines += [f"{each.step}: {each.contacts:,} leave the journey {each.rule}" for each in found.exits]
    for each in found.messages:
        of = "" if each.looked is None else f" (of {each.looked:,} that were looked at)"
        lines.append(f"{each.step}: {each.no_recipient:,} without a usable recipient{of}")
        lines += [f"  {name} is empty for {count:,}" for name, count in sorted(each.missing.items())]
        if each.hours is not None:
            what = "wait" if each.hours["otherwise"] == "wait" else "are left out"
            lines.append(f"  outside of its hours now: {each.hours['closed']:,}, who {what}")
            lines += [f"  without a time zone: {each.hours['noZone']:,}"] if each.hours["noZone"] else []
        if each.segments is not None:
            encodings = ", ".join(f"{name} {count:,}" for name, count in sorted(each.segments["encodings"].items()))
            lines.append(f"  {each.segments['total']:,} segments, at most {each.segments['most']} each; {encodings}")
            lines += [f"  {letter} in {count:,}: not in GSM-7" for letter, count in each.segments["because"].items()]
        for sample in each.samples:
            lines.append(f"  {sample.contact} to {sample.to}: {sample.subject or ''}".rstrip(": "))
            lines += [f"    {text}" for text in (sample.text or sample.html or "").splitlines()]
    return "\n".join(lines)


def well(batch: "Batch", until: str) -> bool:
    """Whether it went as its caller wanted: the exit code says so."""
    reached = batch.state == "completed" or (_done(batch, until) and not batch.ended)
    return reached and not batch.reached_nobody


@contextmanager
def upload_progress(file: Path) -> Iterator[Progress | None]:
    """A bar for an upload, on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with _bars("upload {task.fields[name]}", "{task.percentage:>3.0f} %") as bars:
        task = bars.add_task("upload", total=None, name=file.name)
        yield lambda sent, total: bars.update(task, completed=sent, total=total)


@contextmanager
def rows_progress(file: Path) -> Iterator["RowProgress | None"]:
    """How many rows of a table have been sent, on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with _bars("upload {task.fields[name]}", "{task.completed:,.0f} rows") as bars:
        task = bars.add_task("upload", total=None, name=file.name)
        yield lambda rows, _: bars.update(task, completed=rows)


def follow(batches: Iterable["Batch"], until: str, *, quiet: bool = False) -> "Batch":
    """Show a batch each time it changes, until it has ended or, with `sent`, rests; the last one. On a terminal a bar
    on standard error, elsewhere a line for each change on standard output, unless it is to be `quiet` for a program."""
    return _live(batches, until) if sys.stderr.isatty() else _plain(batches, until, quiet=quiet)


def _done(batch: "Batch", until: str) -> bool:
    return batch.ended or (until == "sent" and batch.idle) or (until == "held" and batch.held)


def _plain(batches: Iterable["Batch"], until: str, *, quiet: bool) -> "Batch":
    """A line for each change, for logs."""
    last: Batch | None = None
    for last in batches:
        if not quiet:
            typer.echo(line(last) + (f"; {_moving(last)}" if _moving(last) else ""))
        if _done(last, until):
            break
    assert last is not None
    return last


def _live(batches: Iterable["Batch"], until: str) -> "Batch":
    """A bar with share done, counts, rate, time left and what the batch waits for."""
    last: Batch | None = None
    with _bars("{task.fields[state]}", "{task.percentage:>3.0f} %  {task.fields[said]}") as bars:
        task = bars.add_task("batch", total=None, state="", said="")
        for last in batches:
            done, total = share(last)
            bars.update(task, completed=done, total=total or None, state=last.state, said=_moving(last))
            if _done(last, until):
                break
    assert last is not None
    return last


def share(batch: "Batch") -> tuple[int, int]:
    """How many of the contacts that entered have left the journey, as far as the ledger shows it: (done, all)."""
    return batch.ledger.entered - batch.ledger.standing, batch.ledger.entered


def _moving(batch: "Batch") -> str:
    """Sent, failed, rate, time left, and what the batch waits for."""
    outcomes = batch.ledger.outcomes()
    said = [f"{outcomes[name]:,} {name}" for name in ("sent", "failed", "unknown") if outcomes.get(name)]
    if batch.rate:
        said.append(f"{batch.rate:,.0f}/s")
        left = timedelta(seconds=round(batch.ledger.standing / batch.rate))
        said += [f"{left} left"] if batch.ledger.standing else []
    return ", ".join(said) + (f" ({batch.waiting_for})" if batch.waiting_for else "")


@contextmanager
def _bars(before: str, after: str) -> "Iterator[Bars]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(before), BarColumn(30), TextColumn(after), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield bars


def came_back(found: "list[CameBack]") -> str:
    """What came back to a batch's messages, in words."""
    lines = []
    for each in found:
        verdicts = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(each.verdicts.items()))
        lines.append(f"{each.step}: {each.events:,} {each.event}" + (f" ({verdicts})" if verdicts else ""))
    return "\n".join(lines) or "nothing came back yet"
