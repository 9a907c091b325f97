"""All commands, each with an example in its help."""

from typing import Annotated

import typer

from caravan import __version__
from caravan.cli import (
    audit,
    batch,
    bench,
    channels,
    contacts,
    customers,
    events,
    journeys,
    running,
    sandbox,
    suppressions,
    users,
)

app = typer.Typer(
    name="caravan",
    help="A file of contacts enters a journey, all at the same time, and no contact is lost or counted twice.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"caravan {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A file of contacts enters a journey, all at the same time, and no contact is lost or counted twice."""


for room in (
    running,
    customers,
    users,
    journeys,
    contacts,
    batch,
    channels,
    suppressions,
    events,
    sandbox,
    audit,
    bench,
):
    room.add_to(app)
