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
    from caravan.client import Client, JournalEntry, Reject, Return, Started

    Line = TypeVar("Line", Reject, JournalEntry, Return)

BatchId = Annotated[str, typer.Argument(help="The batch's id, like b_5f0c….")]
Expires = Annotated[
    str | None,
    typer.Option(help="From then on nothing is sent: 2026-12-01T00:00:00Z, or a time from now on like '2 days'."),
]
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
    for command in (start, show, came_back, preflight, rejects, journal, dead_letters, returns, replay, restart):
        batch.command(command.__name__.replace("_", "-"))(command)
    for command in (pause, resume, retry, give_up, cancel, forget):
        batch.command(command.__name__.replace("_", "-"))(command)
    batch.command("list")(list_batches)
    app.add_typer(batch, name="batch")


def open_client() -> "Client":
    """The client that the environment describes. Raises `InvalidSetting`."""
    from caravan.client import Client

    url = os.environ.get("CARAVAN_URL", "http://127.0.0.1:8080").strip()
    customer, token = (os.environ.get(name, "").strip() for name in ("CARAVAN_CUSTOMER", "CARAVAN_TOKEN"))
    if not (customer.isascii() and customer.isdigit()) or not token:
        raise InvalidSetting("Set CARAVAN_CUSTOMER to the customer's number and CARAVAN_TOKEN to one of its tokens.")
    return Client(url, int(customer), token)


def start(
    journey: Annotated[int, typer.Option(help="The journey's number (entityId).")],
    file: Annotated[
        Path | None,
        typer.Argument(help="A file of contacts, also .gz and .zst; or .csv or .parquet. - reads standard input."),
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(help="Of a .csv or .parquet: the column with the contacts' ids.", show_default="id")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Let the server fetch the file from here instead.")] = None,
    key: Annotated[
        str | None, typer.Option(help="An Idempotency-Key: repeated with it and the same file, nothing starts twice.")
    ] = None,
    hold: Annotated[
        bool, typer.Option(help="Read the file whole, then let no contact move until `caravan batch resume`.")
    ] = False,
    expires: Expires = None,
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
        started = _start(client, journey, file, url, key, id_column, hold=hold, expires=expires)
        if not watch:
            _print({"batchId": started.batch}, as_json, started.batch)
            return
        awaited = "held" if hold else until.value
        found = watching.follow(client.events(started.batch), awaited, quiet=as_json)
        _print(found.raw, as_json, watching.report(found))
        raise typer.Exit(0 if watching.well(found, awaited) else 1)


def _start(
    client: "Client",
    journey: int,
    file: Path | None,
    url: str | None,
    key: str | None,
    id_column: str | None,
    *,
    hold: bool,
    expires: str | None,
) -> "Started":
    """Start it; what fails although it may have arrived says how it is repeated safely."""
    from caravan.client import CallFailed, new_key
    from caravan.client.rows import is_table

    if id_column is not None and not (file is not None and is_table(file)):
        raise InvalidInput("--id-column names a column of a .csv or .parquet file.")

    def opened(started: "Started") -> None:
        typer.echo(f"{started.batch} awaits {file}, which is being sent.", err=True)

    key = key if key is not None else new_key()
    try:
        if file is None:
            return client.start_url(journey, str(url), key=key, hold=hold, expires=expires)
        if is_table(file):
            with watching.rows_progress(file) as counted:
                return client.start_batch(
                    journey,
                    file,
                    id_column=id_column,
                    progress=counted,
                    opened=opened,
                    key=key,
                    hold=hold,
                    expires=expires,
                )
        with _on_disk(file) as local, watching.upload_progress(file) as progress:
            return client.start_file(journey, local, progress, key=key, hold=hold, expires=expires, opened=opened)
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


def came_back(batch: BatchId, as_json: Json = False) -> None:
    """Show what came back to the messages of a batch: opened, clicked, bounced, … by step; and who it was, as far as
    can be known.

    Example: caravan batch came-back b_5f0c…
    """
    with open_client() as client:
        found = client.came_back(batch)
    _print([each.raw for each in found], as_json, watching.came_back(found))


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


def _entry(each: "JournalEntry") -> str:
    at = each.at.isoformat()
    return f"{at} {each.contact} {each.step} {each.outcome} {each.detail or ''}".rstrip()


def dead_letters(
    batch: BatchId,
    step: Annotated[str | None, typer.Option(help="Only those of this step.")] = None,
    as_json: Json = False,
) -> None:
    """List whom a webhook step could not reach, for good.

    Example: caravan batch dead-letters b_5f0c… --step tell_crm
    """
    with open_client() as client:
        _print_all(client.dead_letters(batch, step=step), as_json, _entry)


def returns(
    batch: BatchId,
    step: Annotated[str | None, typer.Option(help="Only those of this step.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only bounced, complained, replied or unread.")] = None,
    as_json: Json = False,
) -> None:
    """List what came back to a batch: bounces, complaints and replies.

    Example: caravan batch returns b_5f0c… --kind bounced --json
    """
    wanted = {name: value for name, value in {"step": step, "kind": kind}.items() if value is not None}
    with open_client() as client:
        _print_all(client.returns(batch, **wanted), as_json, _return)


def _return(each: "Return") -> str:
    words = f"{each.kind} (hard)" if each.hard else each.kind
    return f"{each.at.isoformat()} {each.contact} {each.step} {words} {each.code} {each.reason}".rstrip()


def replay(
    batch: BatchId,
    step: Annotated[str, typer.Option(help="The step whose dead letters are sent once more.")],
    count: Annotated[int | None, typer.Option(help="All of them, if there are so many.")] = None,
    contact: Annotated[str | None, typer.Option(help="Only those of this contact.")] = None,
    as_json: Json = False,
) -> None:
    """Send dead letters once more, also after the batch ended.

    Example: caravan batch replay b_5f0c… --step tell_crm --count 17
    """
    if (count is None) == (contact is None):
        raise InvalidInput("Say --count with the number of dead letters, or --contact.")
    with open_client() as client:
        found = client.replay(batch, step, count=count, contact=contact)
    _print(found.raw, as_json, watching.report(found))


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

    with open_client() as client:
        _print_all(client.journal(batch, step=step, outcome=outcome, contact=contact), as_json, _entry)


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


def restart(
    batch: BatchId,
    outcome: Annotated[str, typer.Option(help="How they left a step, like failed or unknown.")] = "failed",
    step: Annotated[str | None, typer.Option(help="Only those who left this step so; without it, any step.")] = None,
    hold: Annotated[
        bool, typer.Option(help="Read them whole, then let no contact move until `caravan batch resume`.")
    ] = False,
    expires: Expires = None,
    key: Annotated[str | None, typer.Option(help="An Idempotency-Key: repeated with it, nothing starts twice.")] = None,
    as_json: Json = False,
) -> None:
    """Start again with those contacts of a batch that left a step with some outcome, as a new batch.

    Example: caravan batch restart b_5f0c… --outcome failed --step offer
    """
    with open_client() as client:
        found = client.restart(batch, outcome, step, hold=hold, expires=expires, key=key)
    _print(found.raw, as_json, watching.report(found))


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
