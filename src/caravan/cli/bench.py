"""`bench`: the product's own code measured beside a yardstick, on this machine."""

import json
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="All that was measured, as one JSON object.")]
Workers = Annotated[int, typer.Option(min=1, help="Over 1: also with so many workers on one batch, in turn.")]
Repeats = Annotated[int, typer.Option(min=1, help="How often both sides run, in turn.")]


class IntakeVariant(StrEnum):
    """What the file is like (bench/inputs.py: SHAPES)."""

    STANDARD = "standard"
    CLEAN = "clean"
    BAD_1 = "bad-1"
    BAD_10 = "bad-10"
    BAD_50 = "bad-50"
    DUPLICATES = "duplicates"
    GZIP = "gzip"
    WIDE = "wide"
    ALL = "all"


class MailSize(StrEnum):
    """How large a mail is."""

    SMALL = "2kb"
    LARGE = "30kb"
    ALL = "all"


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    room = typer.Typer(help="Measure this machine: the product's own code beside a yardstick.", no_args_is_help=True)
    for command in (intake, entry, api, wait, events, email, pace, webhook, single, fair, console):
        room.command()(command)
    app.add_typer(room, name="bench")


def intake(
    rows: Annotated[int, typer.Option(min=1, help="Rows in the file.")] = 1_000_000,
    variant: Annotated[IntakeVariant, typer.Option(help="What the file is like.")] = IntakeVariant.STANDARD,
    repeats: Repeats = 3,
    as_json: Json = False,
) -> None:
    """A file that was uploaded → durable, validated, deduplicated cohorts; beside DuckDB's read_json → Parquet.

    Example: caravan bench intake --rows 1000000 --variant all
    """
    from caravan.bench import intake as bench

    chosen = [each for each in IntakeVariant if each is not IntakeVariant.ALL]
    names = chosen if variant is IntakeVariant.ALL else [variant]
    _tell(bench.run(rows, [str(each) for each in names], repeats, _sayer(as_json)), as_json)


def entry(
    rows: Annotated[int, typer.Option(min=1, help="Rows in the file.")] = 1_000_000,
    workers: Workers = 1,
    repeats: Repeats = 3,
    as_json: Json = False,
) -> None:
    """End of the upload → everyone past a split and standing in a wait; beside COPY into a PostgreSQL table.

    Example: caravan bench entry --rows 1000000
    """
    from caravan.bench import entry as bench

    _tell(bench.run(rows, repeats, _sayer(as_json), workers), as_json)


def api(
    rows: Annotated[int, typer.Option(min=1, help="Rows in the file that is read meanwhile.")] = 10_000_000,
    idle: Annotated[float, typer.Option(min=1, help="Seconds of calls before, with nothing else to do.")] = 20,
    repeats: Repeats = 1,
    as_json: Json = False,
) -> None:
    """50 calls a second while a file is uploaded and read: how long half and 99 % of them take; beside an idle system.

    Example: caravan bench api --rows 10000000
    """
    from caravan.bench import api as bench

    _tell(bench.run(rows, repeats, idle, _sayer(as_json)), as_json)


def wait(
    rows: Annotated[int, typer.Option(min=1, help="Contacts that fall due at the same moment.")] = 1_000_000,
    spread: Annotated[bool, typer.Option("--spread", help="Each waits until a moment of its own instead.")] = False,
    repeats: Repeats = 3,
    as_json: Json = False,
) -> None:
    """All contacts fall due at once: how late the median and the last move; beside one UPDATE of as many rows. With
    --spread each has a moment of its own in a year, beside a plain wait.

    Example: caravan bench wait --rows 1000000
    """
    if spread:
        from caravan.bench import spread as moments

        _tell(moments.run(rows, repeats, _sayer(as_json)), as_json)
        return
    from caravan.bench import wait as bench

    _tell(bench.run(rows, repeats, _sayer(as_json)), as_json)


def events(
    rows: Annotated[int, typer.Option(min=1, help="Contacts who stand.")] = 1_000_000,
    rate: Annotated[float, typer.Option(min=10, help="Events a second.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=0.5, help="For how long they come.")] = 20,
    as_json: Json = False,
) -> None:
    """Events lead contacts on while all others stand: how long after the report each has moved; beside a row a contact.

    Example: caravan bench events --rows 1000000
    """
    from caravan.bench import events as bench

    _tell(bench.run(rows, rate, seconds, _sayer(as_json)), as_json)


def email(
    rows: Annotated[int | None, typer.Option(min=1, help="Mails.", show_default="20000 of 2 KB, 5000 of 30 KB")] = None,
    variant: Annotated[MailSize, typer.Option(help="How large a mail is.")] = MailSize.ALL,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Also by so many workers, in turn.", show_default="as many as `caravan up` has"),
    ] = None,
    track: Annotated[
        bool, typer.Option("--track", help="Track opens and clicks, beside the same mails without, by one worker each.")
    ] = False,
    repeats: Repeats = 3,
    as_json: Json = False,
) -> None:
    """Personal multipart mails through a whole batch to a local sink, by one worker and by several; beside Postfix's
    smtp-source, or aiosmtplib.

    Example: caravan bench email --rows 20000 --variant 2kb
    """
    from caravan.bench import email as bench
    from caravan.server.shares import worker_count
    from caravan.settings import read_settings

    workers = workers or worker_count(read_settings())

    chosen = [each for each in MailSize if each is not MailSize.ALL] if variant is MailSize.ALL else [variant]
    _tell(bench.run(rows, [str(each) for each in chosen], repeats, _sayer(as_json), workers, track=track), as_json)


def pace(
    rate: Annotated[
        list[float] | None, typer.Option(min=1, help="Mails a second to the paced provider.", show_default="50 and 500")
    ] = None,
    seconds: Annotated[float, typer.Option(min=12, help="For how long each pace is looked at.")] = 25,
    workers: Annotated[int, typer.Option(min=1, help="Over 1: also with so many worker processes.")] = 2,
    rows: Annotated[int, typer.Option(min=1, help="Mails of the batches by which the cost is measured.")] = 20_000,
    repeats: Repeats = 3,
    as_json: Json = False,
) -> None:
    """How exactly mails to a provider keep to its pace in any ten seconds, also while that is changed, whether others
    wait for them, and what pacing costs of the processor; beside the same without it.

    Example: caravan bench pace --rate 50 --rate 500 --workers 2
    """
    from caravan.bench import pace as bench

    _tell(bench.run(rate or [50.0, 500.0], seconds, workers, rows, repeats, _sayer(as_json)), as_json)


def webhook(
    rows: Annotated[int, typer.Option(min=1, help="Calls.")] = 20_000,
    repeats: Repeats = 3,
    as_json: Json = False,
) -> None:
    """Webhooks through a whole batch to a local HTTP sink; beside a bare aiohttp loop.

    Example: caravan bench webhook --rows 20000
    """
    from caravan.bench import webhook as bench

    _tell(bench.run(rows, repeats, _sayer(as_json)), as_json)


def single(
    connections: Annotated[int, typer.Option(min=1, help="Connections, each with one call under way.")] = 16,
    rate: Annotated[float, typer.Option(min=1, help="Calls a second of the steady part.")] = 1000,
    seconds: Annotated[float, typer.Option(min=0.5, help="For how long, each part.")] = 10,
    repeats: Repeats = 3,
    as_json: Json = False,
) -> None:
    """Calls of the single starter, durable before the answer; beside a bare FastAPI route that inserts a row.

    Example: caravan bench single --connections 64
    """
    from caravan.bench import single as bench

    _tell(bench.run(connections, rate, seconds, repeats, _sayer(as_json)), as_json)


def fair(
    rows: Annotated[int, typer.Option(min=1, help="Contacts of the large batch.")] = 200_000,
    probes: Annotated[int, typer.Option(min=1, help="Singles and small files that come meanwhile.")] = 20,
    as_json: Json = False,
) -> None:
    """How soon mails of singles and small files leave, and what calls take, while a large batch is sent.

    Example: caravan bench fair --rows 1000000
    """
    from caravan.bench import fair as bench

    _tell(bench.run(rows, probes, _sayer(as_json)), as_json)


def console(
    rows: Annotated[int, typer.Option(min=1, help="Contacts of the batch that is being sent meanwhile.")] = 200_000,
    pages: Annotated[int, typer.Option(min=1, help="Pages of a batch that are open at once.")] = 200,
    seconds: Annotated[float, typer.Option(min=1, help="For how long they are open, in each phase.")] = 10,
    visits: Annotated[int, typer.Option(min=1, help="How often each page is looked at, in each phase.")] = 40,
    as_json: Json = False,
) -> None:
    """What the console's pages take and weigh while a batch is sent, and what very many open ones cost.

    Example: caravan bench console --rows 1000000
    """
    from caravan.bench import console as bench

    _tell(bench.run(rows, pages, seconds, visits, _sayer(as_json)), as_json)


def _sayer(as_json: bool) -> Callable[[str], None]:
    """Tells what is going on, beside the output."""

    def say(words: str) -> None:
        if not as_json:
            print(words, file=sys.stderr, flush=True)

    return say


class _Found(Protocol):
    """What a benchmark found."""

    def as_json(self) -> dict[str, Any]: ...

    def show(self, console: "Console") -> None: ...


def _tell(report: _Found, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.as_json(), ensure_ascii=False))
        return
    from rich.console import Console

    report.show(Console() if sys.stdout.isatty() else Console(width=110))
