"""`caravan batch …`: everything over HTTP, as any other client."""

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from caravan.cli import watching
from caravan.errors import InvalidInput, InvalidSetting

if TYPE_CHECKING:
    from caravan.client import Client, JournalEntry, Reject, Started

    Line = TypeVar("Line", Reject, JournalEntry)

BatchId = Annotated[str, typer.Argument(help="The batch's id, like b_5f0c….")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON for programs.")]
_STDIN = Path("-")


class Until(StrEnum):
    """How long a batch is watched."""

    COMPLETED = "completed"
    SENT = "sent"


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    batch = typer.Typer(
        help="Batches, over HTTP: set CARAVAN_URL, CARAVAN_CUSTOMER and CARAVAN_TOKEN.", no_args_is_help=True
    )
    for command in (start, show, preflight, rejects, journal, pause, resume, retry, give_up, cancel, forget):
        batch.command(command.__name__.replace("_", "-"))(command)
    batch.command("list")(list_batches)
    app.add_typer(batch, name="batch")


def open_client() -> "Client":
    """The client that the environment describes. Raises `InvalidSetting`."""
    from caravan.client import Client

    url = os.environ.get("CARAVAN_URL", "http://127.0.0.1:8080").strip()
    customer, token = (os.environ.get(name, "").strip() for name in ("CARAVAN_CUSTOMER", "CARAVAN_TOKEN"))
    if not customer.isdigit() or not token:
        raise InvalidSetting("Set CARAVAN_CUSTOMER to the customer's number and CARAVAN_TOKEN to one of its tokens.")
    return Client(url, int(customer), token)


def start(
    journey: Annotated[int, typer.Option(help="The journey's number (entityId).")],
    file: Annotated[
        Path | None, typer.Argument(help="A file of contacts; .gz and .zst too. - reads standard input.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Let the server fetch the file from here instead.")] = None,
    key: Annotated[
        str | None, typer.Option(help="An Idempotency-Key: repeated with it and the same file, nothing starts twice.")
    ] = None,
    hold: Annotated[
        bool, typer.Option(help="Read the file whole, then let no contact move until `caravan batch resume`.")
    ] = False,
    watch: Annotated[bool, typer.Option(help="Follow the batch, see --until; with --hold until it is held.")] = False,
    until: Annotated[
        Until, typer.Option(help="With --watch: until it has ended, or until all is sent that can be sent now.")
    ] = Until.COMPLETED,
    as_json: Json = False,
) -> None:
    """Start a batch with a file, or with a URL that the server fetches. With --watch the exit code is 0 only if it went
    well: 1 if the batch failed, or if every message failed.

    Example: caravan batch start contacts.ndjson --journey 4711 --key "spring-$(date +%F)" --watch
    """
    if (file is None) == (url is None):
        raise typer.BadParameter("name a file or --url, one of them")
    if file is not None and file != _STDIN and not file.is_file():
        raise InvalidInput(f"{file} is no file.")
    with open_client() as client:
        started = _start(client, journey, file, url, key, hold=hold)
        if not watch:
            _print({"batchId": started.batch}, as_json, started.batch)
            return
        awaited = "held" if hold else until.value
        found = watching.follow(client.events(started.batch), awaited, quiet=as_json)
        _print(found.raw, as_json, watching.report(found))
        raise typer.Exit(0 if watching.well(found, awaited) else 1)


def _start(
    client: "Client", journey: int, file: Path | None, url: str | None, key: str | None, *, hold: bool
) -> "Started":
    """Start it; what fails although it may have arrived says how it is repeated safely."""
    from caravan.client import CallFailed, new_key

    def opened(started: "Started") -> None:
        typer.echo(f"{started.batch} awaits {file}, which is being sent.", err=True)

    key = key if key is not None else new_key()
    try:
        if file is None:
            return client.start_url(journey, str(url), key=key, hold=hold)
        with _on_disk(file) as local, watching.upload_progress(file) as progress:
            return client.start_file(journey, local, progress, key=key, hold=hold, opened=opened)
    except CallFailed as failed:
        if not failed.passes:
            raise
        again = (
            f"{failed.message.rstrip('.')}; repeat the command with --key {shlex.quote(key)}, and nothing starts twice."
        )
        raise CallFailed(again, failed.status) from failed


@contextmanager
def _on_disk(file: Path) -> Iterator[Path]:
    """The file, or what standard input gives as one: an upload that breaks off is sent again from its beginning."""
    if file != _STDIN:
        yield file
        return
    with tempfile.NamedTemporaryFile(prefix="caravan-", suffix=".ndjson") as copy:  # readable by its owner alone
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name)


def list_batches(
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    state: Annotated[list[str] | None, typer.Option(help="Only in this state, like running; more than once.")] = None,
    journey: Annotated[int | None, typer.Option(help="Only of this journey.")] = None,
    as_json: Json = False,
) -> None:
    """List the newest batches.

    Example: caravan batch list --state running --state paused
    """
    with open_client() as client:
        listed = client.batches(states=tuple(state or ()), journey=journey, page=min(limit, 200))
        found = [each for each, _ in zip(listed, range(limit), strict=False)]
    _print([each.raw for each in found], as_json, "\n".join(map(watching.line, found)) or "no batches yet")


def show(batch: BatchId, as_json: Json = False) -> None:
    """Show a batch and its ledger. The exit code is 1 if it failed, or ended and reached nobody.

    Example: caravan batch show b_5f0c…
    """
    with open_client() as client:
        found = client.batch(batch)
    _print(found.raw, as_json, watching.report(found))
    if found.state == "failed" or (found.ended and found.reached_nobody):
        raise typer.Exit(1)


def preflight(
    batch: BatchId,
    contact: Annotated[str | None, typer.Option(help="Show this contact's messages.")] = None,
    as_json: Json = False,
) -> None:
    """Show what a batch that was started with --hold would do if it were resumed now.

    Example: caravan batch preflight b_5f0c…
    """
    with open_client() as client:
        found = client.preflight(batch, contact=contact)
    _print(found.raw, as_json, watching.foretold(found))


def rejects(batch: BatchId, as_json: Json = False) -> None:
    """List the refused rows, with line numbers.

    Example: caravan batch rejects b_5f0c… --json > rejects.ndjson
    """
    with open_client() as client:
        _print_all(client.rejects(batch), as_json, lambda each: f"line {each.line}: {each.code}: {each.message}")


def journal(
    batch: BatchId,
    step: Annotated[str | None, typer.Option(help="Only this step.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Only this outcome, like sent; or standing, retrying.")] = None,
    contact: Annotated[str | None, typer.Option(help="Only this contact, also where it stands.")] = None,
    as_json: Json = False,
) -> None:
    """List what happened to whom.

    Example: caravan batch journal b_5f0c… --outcome sent --json
    """

    def line(each: "JournalEntry") -> str:
        at = each.at.isoformat()
        return f"{at} {each.contact} {each.step} {each.outcome} {each.detail or ''}".rstrip()

    with open_client() as client:
        _print_all(client.journal(batch, step=step, outcome=outcome, contact=contact), as_json, line)


def pause(batch: BatchId, as_json: Json = False) -> None:
    """Pause a batch: nobody moves, nobody is lost.

    Example: caravan batch pause b_5f0c…
    """
    _change(batch, "pause", as_json)


def resume(batch: BatchId, as_json: Json = False) -> None:
    """Let a paused batch go on.

    Example: caravan batch resume b_5f0c…
    """
    _change(batch, "resume", as_json)


def forget(batch: BatchId, as_json: Json = False) -> None:
    """Delete the contacts, rejects and journal of an ended batch now; the ledger stays.

    Example: caravan batch forget b_5f0c…
    """
    _change(batch, "forget", as_json)


def retry(batch: BatchId, as_json: Json = False) -> None:
    """Take up once more what was stuck.

    Example: caravan batch retry b_5f0c…
    """
    _change(batch, "retry", as_json)


def give_up(batch: BatchId, as_json: Json = False) -> None:
    """Fail the contacts that are only being retried, now; they go on to the next step.

    Example: caravan batch give-up b_5f0c…
    """
    _change(batch, "give-up", as_json)


def cancel(batch: BatchId, as_json: Json = False) -> None:
    """Recall a batch: everyone not yet reached leaves as cancelled.

    Example: caravan batch cancel b_5f0c…
    """
    _change(batch, "cancel", as_json)


def _change(batch: str, change: str, as_json: bool) -> None:
    with open_client() as client:
        found = client.change(batch, change)
    _print(found.raw, as_json, watching.report(found))


def _print(found: object, as_json: bool, text: str) -> None:
    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else text)


def _print_all(lines: "Iterable[Line]", as_json: bool, text: "Callable[[Line], str]") -> None:
    for each in lines:
        typer.echo(json.dumps(each.raw, ensure_ascii=False) if as_json else text(each))
