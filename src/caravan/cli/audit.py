"""`audit`: who did what to what, when and from where."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from caravan.cli.session import Data, with_engine
from caravan.settings import read_settings

if TYPE_CHECKING:
    from caravan.engine.engine import Engine


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    audit = typer.Typer(help="The audit log: who did what to what, when and from where.", no_args_is_help=True)
    audit.command("export")(export)
    app.add_typer(audit, name="audit")


def export(
    customer: Annotated[int | None, typer.Option(help="Only what concerns this customer.")] = None,
    who: Annotated[str | None, typer.Option(help="A user's address, a token's id or a machine's user.")] = None,
    act: Annotated[str | None, typer.Option(help="Only this act, like pause.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="From this day or moment on (ISO 8601, UTC).")] = None,
    until: Annotated[str | None, typer.Option("--to", help="To this day, or to before this moment.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV instead of one JSON object a line.")] = False,
    data: Data = None,
) -> None:
    """Print the audit log, the newest act first: one JSON object a line.

    Example: caravan audit export --customer 1001 --from 2026-11-01 --csv
    """
    from caravan.access import audit_export
    from caravan.lists import Form

    wanted = audit_export.read_filter(who, act, since, until)
    form = Form.CSV if as_csv else Form.NDJSON

    async def work(engine: "Engine") -> None:
        async for lines in audit_export.export(engine.pool, customer, wanted, form):
            sys.stdout.write(lines)

    with_engine(read_settings(data=data), work)
