"""`batch …`: start and follow batches over HTTP."""

import json
import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caravan.errors import InvalidInput, InvalidSetting

if TYPE_CHECKING:
    from caravan.client import Client, Started

BatchId = Annotated[str, typer.Argument(help="The batch's id.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    batch = typer.Typer(
        help="Batches, over HTTP: set CARAVAN_URL, CARAVAN_CUSTOMER and CARAVAN_TOKEN.", no_args_is_help=True
    )
    for command in (start, show, rejects, journal, pause, resume, retry, cancel, forget):
        batch.command()(command)
    batch.command("list")(list_batches)
    app.add_typer(batch, name="batch")


def _client() -> "Client":
    from caravan.client import Client

    url = os.environ.get("CARAVAN_URL", "http://127.0.0.1:8080")
    customer, token = os.environ.get("CARAVAN_CUSTOMER", ""), os.environ.get("CARAVAN_TOKEN", "")
    if not customer.isdigit() or not token:
        raise InvalidSetting("Set CARAVAN_CUSTOMER to the customer's number and CARAVAN_TOKEN to one of its tokens.")
    return Client(url, int(customer), token)


def start(
    journey: Annotated[int, typer.Option(help="The journey's number (entityId).")],
    file: Annotated[Path | None, typer.Argument(help="A file of contacts; .gz and .zst too.")] = None,
    url: Annotated[str | None, typer.Option(help="Let the server fetch the file from here instead.")] = None,
    key: Annotated[
        str | None, typer.Option(help="An Idempotency-Key: repeated with it and the same file, nothing starts twice.")
    ] = None,
    watch: Annotated[bool, typer.Option(help="Follow the batch until it has ended.")] = False,
    as_json: Json = False,
) -> None:
    """Start a batch with a file, or with a URL that the server fetches.

    Example: caravan batch start contacts.ndjson --journey 4711 --key "spring-$(date +%F)" --watch
    """
    if (file is None) == (url is None):
        raise typer.BadParameter("name a file or --url, one of them")
    if file is not None and not file.is_file():
        raise InvalidInput(f"{file} is no file.")
    with _client() as client:
        started = _start(client, journey, file, url, key)
        if not watch:
            _print({"batchId": started.batch}, as_json, started.batch)
            return
        found = _watch(client, started.batch, as_json)
        raise typer.Exit(0 if found["state"] == "completed" else 1)


def _start(client: "Client", journey: int, file: Path | None, url: str | None, key: str | None) -> "Started":
    """Start it; what fails although it may have arrived says how it is repeated safely."""
    from caravan.client import CallFailed, new_key

    def opened(started: "Started") -> None:
        typer.echo(f"{started.batch} awaits {file}, which is being sent.", err=True)

    key = key if key is not None else new_key()
    try:
        if file is not None:
            return client.start_file(journey, file, key=key, opened=opened)
        return client.start_url(journey, str(url), key=key)
    except CallFailed as failed:
        if not failed.passes:
            raise
        again = (
            f"{failed.message.rstrip('.')}; repeat the command with --key {shlex.quote(key)}, and nothing starts twice."
        )
        raise CallFailed(again, failed.status) from failed


def _watch(client: "Client", batch: str, as_json: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for found in client.events(batch):
        if not as_json:
            typer.echo(_line(found))
    _print(found, as_json, _long(found))
    return found


def list_batches(as_json: Json = False) -> None:
    """List the newest batches.

    Example: caravan batch list
    """
    with _client() as client:
        found = client.batches()
    _print(found, as_json, "\n".join(map(_line, found)) or "no batches yet")


def show(batch: BatchId, as_json: Json = False) -> None:
    """Show a batch and its ledger.

    Example: caravan batch show b_5f0c…
    """
    with _client() as client:
        found = client.batch(batch)
    _print(found, as_json, _long(found))


def rejects(batch: BatchId, as_json: Json = False) -> None:
    """List the refused rows, with line numbers.

    Example: caravan batch rejects b_5f0c… --json > rejects.ndjson
    """
    with _client() as client:
        _print_all(
            client.rejects(batch),
            as_json,
            lambda each: f"line {each['line']}: {each['code']}: {each['message']}",
        )


def journal(
    batch: BatchId,
    step: Annotated[str | None, typer.Option(help="Only this step.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Only this outcome, like sent.")] = None,
    contact: Annotated[str | None, typer.Option(help="Only this contact.")] = None,
    as_json: Json = False,
) -> None:
    """List what happened to whom.

    Example: caravan batch journal b_5f0c… --outcome sent --json
    """

    def line(each: dict[str, Any]) -> str:
        return f"{each['at']} {each['contact']} {each['step']} {each['outcome']} {each['detail'] or ''}".rstrip()

    with _client() as client:
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


def cancel(batch: BatchId, as_json: Json = False) -> None:
    """Recall a batch: everyone not yet reached leaves as cancelled.

    Example: caravan batch cancel b_5f0c…
    """
    _change(batch, "cancel", as_json)


def _change(batch: str, change: str, as_json: bool) -> None:
    with _client() as client:
        found = client.change(batch, change)
    _print(found, as_json, _long(found))


def _print(found: object, as_json: bool, text: str) -> None:
    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else text)


def _print_all(lines: Iterable[dict[str, Any]], as_json: bool, text: Any) -> None:
    for each in lines:
        typer.echo(json.dumps(each, ensure_ascii=False) if as_json else text(each))


def _line(found: dict[str, Any]) -> str:
    ledger = found["ledger"]
    standing = sum(step["standing"] for step in ledger["steps"])
    rejected = sum(ledger["rejected"].values())
    counts = f"{ledger['entered']:,} entered, {rejected:,} rejected, {standing:,} standing"
    return f"{found['id']}  {found['state']:<15} journey {found['journey']}  {counts}"


def _long(found: dict[str, Any]) -> str:
    lines = [_line(found)]
    lines += [f"  {name}: {found[key]}" for key, name in _REASONS.items() if found[key]]
    ledger = found["ledger"]
    lines.append(f"  lines {ledger['lines']:,}, blank {ledger['blank']:,}, entered {ledger['entered']:,}")
    lines += [f"  rejected as {code}: {count:,}" for code, count in sorted(ledger["rejected"].items())]
    for step in ledger["steps"]:
        outcomes = ", ".join(f"{name} {count:,}" for name, count in sorted(step["outcomes"].items()))
        lines.append(f"  {step['step']}: arrived {step['arrived']:,}, standing {step['standing']:,}; {outcomes}")
    return "\n".join(lines)


_REASONS = {"error": "error", "waitingFor": "waiting for"}
