"""`contacts check`: what the server would say of a file, without a server."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from caravan.errors import FileFailed, InvalidInput
from caravan.settings import read_settings


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    contacts = typer.Typer(help="Files of contacts.", no_args_is_help=True)
    contacts.command("check")(check)
    app.add_typer(contacts, name="contacts")


def check(
    file: Annotated[Path, typer.Argument(help="A file of contacts, one JSON object a line; .gz and .zst too.")],
    as_json: Annotated[bool, typer.Option("--json", help="The receipt as one JSON object.")] = False,
) -> None:
    """Read a file as the server would, with the same code, and print the receipt. Exit 1 if the batch would fail.

    Example: caravan contacts check contacts.ndjson
    """
    from caravan.intake.reading import Limits, read_contacts
    from caravan.intake.receipt import tell, to_json

    if not file.is_file():
        raise InvalidInput(f"{file} is no file.")
    with tempfile.TemporaryDirectory(prefix="caravan-check-") as folder:
        try:
            receipt = read_contacts(file, Path(folder), Limits.from_settings(read_settings()))
        except FileFailed as error:
            _tell_failure(error, as_json)
            raise typer.Exit(1) from None
        typer.echo(json.dumps(to_json(receipt), ensure_ascii=False) if as_json else tell(receipt))
        if receipt.failure is not None:
            raise typer.Exit(1)


def _tell_failure(error: FileFailed, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"error": f"{error.code}: {error.message}", "errorCode": error.code}))
    else:
        print(f"caravan: {error.code}: {error.message}", file=sys.stderr)
