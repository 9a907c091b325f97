"""All commands, each with an example in its help."""

import typer

from caravan.cli import batch, bench, contacts, customers, journeys, running

app = typer.Typer(
    name="caravan",
    help="A file of contacts enters a journey, all at the same time, and nobody is lost or counted twice.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for room in (running, customers, journeys, contacts, batch, bench):
    room.add_to(app)
