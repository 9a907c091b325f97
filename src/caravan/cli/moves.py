"""`journeys waiting` and `move-waiting`: who waits in older versions of a journey, and moving them into the newest."""

import json
from collections.abc import Iterable
from typing import Annotated, Protocol

import typer

from caravan.cli.batch import open_client

Number = Annotated[int, typer.Argument(help="The journey's number.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON for programs.")]
Reschedule = Annotated[
    bool,
    typer.Option("--reschedule", help="They wait as the newest version says, from when they came; else as before."),
]


class Waits(Protocol):
    """Contacts that stand at a step, as the SDK and the engine know them."""

    @property
    def version(self) -> int: ...
    @property
    def step(self) -> str: ...
    @property
    def contacts(self) -> int: ...
    @property
    def moves(self) -> bool: ...
    @property
    def changed(self) -> bool: ...
    @property
    def why(self) -> str | None: ...


def add_to(journeys: typer.Typer) -> None:
    """Add these commands."""
    journeys.command("waiting")(waiting)
    journeys.command("move-waiting")(move_waiting)


def waiting(journey: Number, reschedule: Reschedule = False, as_json: AsJson = False) -> None:
    """Who stands at which step in older versions of a journey, and who of them would move into the newest one.

    Example: caravan journeys waiting 4711
    """
    with open_client() as client:
        found = client.waiting(journey, reschedule=reschedule)
    typer.echo(json.dumps(found.raw) if as_json else told(found.steps, found.version))


def move_waiting(journey: Number, reschedule: Reschedule = False, as_json: AsJson = False) -> None:
    """Move those who wait in older versions of a journey into the newest one, at the step at which they stand.

    Example: caravan journeys move-waiting 4711 --reschedule
    """
    with open_client() as client:
        found = client.move_waiting(journey, reschedule=reschedule)
    if as_json:
        typer.echo(json.dumps(found.raw))
        return
    typer.echo(told(found.steps, found.version))
    typer.echo(f"journey {journey}: {found.contacts:,} move into version {found.version}", err=True)


def told(found: Iterable[Waits], version: int) -> str:
    """A line for each step at which some stand."""
    lines = []
    for each in found:
        contacts = f"{each.contacts:,} contact{'' if each.contacts == 1 else 's'}"
        if each.moves:
            says = f"can move into version {version}" + (", where the step differs" if each.changed else "")
        else:
            says = f"can't move: {each.why}"
        lines.append(f"{contacts} at {each.step} of version {each.version} {says}")
    return "\n".join(lines) or f"nobody stands in a version before {version}"
