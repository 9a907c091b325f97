"""`caravan demo`: files of contacts go through a real system over HTTP, and every count is checked."""

import asyncio
import gzip
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from caravan.client import Client
from caravan.demo import mails
from caravan.demo.contacts import Made, write_many, write_seed
from caravan.demo.system import System, running

_JOURNEY = 4711


@dataclass(frozen=True, slots=True)
class Run:
    """One batch of the demo: what was sent, what came of it, and when its file was with the server."""

    title: str
    made: Made
    batch: dict[str, Any]
    started: float  # seconds since the epoch


def run_demo(contacts: int, *, keep: bool = False) -> int:
    """Run the demo; the exit status."""
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="caravan-demo-"))
    try:
        return asyncio.run(_demo(console, folder, contacts))
    finally:
        if keep:
            console.print(f"The demo's folder is {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def _demo(console: Console, folder: Path, contacts: int) -> int:
    console.print("Starting PostgreSQL, the API, a worker, a mail sandbox and a file server …")
    async with running(folder) as system:
        console.print(f"Caravan is up at {system.url}, customer {system.customer}.\n")
        runs = await asyncio.to_thread(_send_all, console, system, folder, contacts)
        received = await asyncio.to_thread(mails.read_all, system.mails)
    for run in runs:
        _show(console, run, received)
    _show_mail(console, received)
    return _verdict(console, [*_check_ledgers(runs), *mails.check(runs_recipients(runs), received)])


def _send_all(console: Console, system: System, folder: Path, contacts: int) -> list[Run]:
    """The three ways in, as a client, over HTTP only."""
    seed = write_seed(folder / "seed.ndjson")
    many = write_many(folder / "contacts.ndjson", contacts)
    packed = folder / "contacts.ndjson.gz"
    packed.write_bytes(gzip.compress(many.path.read_bytes(), 6))
    shutil.copyfile(many.path, folder / "files" / "contacts.ndjson")
    with Client(system.url, system.customer, system.token) as client:
        client.publish(_JOURNEY, (resources.files("caravan.demo") / "journey.yaml").read_text("utf-8"))
        return [
            _upload(console, client, "Three contacts, by uploadUrl", seed, seed.path),
            _upload(console, client, f"{contacts:,} contacts, by uploadUrl, gzip", many, packed),
            _download(console, client, many, f"{system.files_url}/contacts.ndjson"),
        ]


def _upload(console: Console, client: Client, title: str, made: Made, file: Path) -> Run:
    with _progress(console) as progress:
        started = client.open_upload(_JOURNEY)
        assert started.upload_url is not None
        sending = progress.add_task(f"{title}: upload", total=file.stat().st_size)
        client.upload(started.upload_url, file, lambda sent, total: progress.update(sending, completed=sent))
        at = time.time()
        return Run(title, made, _follow(progress, client, title, made, started.batch), at)


def _download(console: Console, client: Client, made: Made, url: str) -> Run:
    title = "The same file, by downloadUrl"
    with _progress(console) as progress:
        at = time.time()
        started = client.start_url(_JOURNEY, url)
        return Run(title, made, _follow(progress, client, title, made, started.batch), at)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<50}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=console,
    )


def _follow(progress: Progress, client: Client, title: str, made: Made, batch: str) -> dict[str, Any]:
    """Follow a batch to its end: done is who has reached the journey's last step."""
    task = progress.add_task(f"{title}: run", total=made.entered)
    found: dict[str, Any] = {}
    for each in client.events(batch):
        found = dict(each.raw)
        done = sum(step.arrived for step in each.ledger.steps if step.step == "done")
        progress.update(task, completed=done)
    found["rejects"] = [reject.raw for reject in client.rejects(batch)]
    return found


def runs_recipients(runs: list[Run]) -> Counter[str]:
    """How many mails each address should have got."""
    return Counter(address for run in runs for address in run.made.recipients)


def _check_ledgers(runs: list[Run]) -> list[str]:
    """What is wrong with the ledgers, in sentences."""
    return [f"{run.title}: {problem}" for run in runs for problem in _problems(run)]


def _problems(run: Run) -> list[str]:
    ledger, made = run.batch["ledger"], run.made
    found = []
    if run.batch["state"] != "completed":
        found.append(f"the batch is {run.batch['state']}: {run.batch['error']}")
    if ledger["lines"] != ledger["entered"] + sum(ledger["rejected"].values()) + ledger["blank"]:
        found.append("lines are not entered + rejected + blank")
    if (ledger["lines"], ledger["entered"]) != (made.lines, made.entered):
        found.append(f"{made.entered} of {made.lines} should have entered, not {ledger['entered']}")
    if ledger["rejected"] != dict(made.rejected):
        found.append(f"the rejects should be {dict(made.rejected)}, not {ledger['rejected']}")
    return found + [
        f"step {step['step']} does not balance: {step}"
        for step in ledger["steps"]
        if step["arrived"] != step["standing"] + sum(step["outcomes"].values()) or step["standing"]
    ]


def _show(console: Console, run: Run, received: list[mails.Mail]) -> None:
    ledger = run.batch["ledger"]
    console.print(f"\n[bold]{run.title}[/]: batch {run.batch['id']} is {run.batch['state']}")
    console.print(f"lines {ledger['lines']:,} = entered {ledger['entered']:,} + rejected "
                  f"{sum(ledger['rejected'].values()):,} + blank {ledger['blank']:,}")  # fmt: skip
    table = Table("step", "arrived", "standing", "outcomes")
    for step in ledger["steps"]:
        outcomes = ", ".join(f"{name} {count:,}" for name, count in step["outcomes"].items())
        table.add_row(step["step"], f"{step['arrived']:,}", f"{step['standing']:,}", outcomes)
    console.print(table)
    _show_rejects(console, run.batch["rejects"])
    _show_times(console, run, received)


def _show_rejects(console: Console, rejects: list[dict[str, Any]]) -> None:
    lines: dict[str, list[int]] = defaultdict(list)
    for reject in rejects:
        lines[reject["code"]].append(reject["line"])
    for code, where in sorted(lines.items()):
        first = ", ".join(map(str, where[:5]))
        console.print(f"rejected as {code}: {len(where):,} (lines {first}{', …' if len(where) > 5 else ''})")


def _show_times(console: Console, run: Run, received: list[mails.Mail]) -> None:
    mine = set(run.made.recipients)
    times = [mail.at for mail in received if mail.recipient in mine and mail.at >= run.started - 0.01]
    times = sorted(times)[: len(run.made.recipients)]
    if times:
        console.print(
            f"end of upload → first mail {times[0] - run.started:.2f} s, → last mail "
            f"{times[-1] - run.started:.2f} s ({len(times):,} mails)"
        )


def _show_mail(console: Console, received: list[mails.Mail]) -> None:
    mail = next((each for each in received if each.recipient == "bruce@example.com"), None)
    if mail is not None:
        console.print("\n[bold]One of the mails, as it was received[/]")
        console.print(mail.text, markup=False, highlight=False)


def _verdict(console: Console, problems: list[str]) -> int:
    for problem in problems:
        console.print(f"[red]wrong:[/] {problem}")
    if problems:
        return 1
    console.print("[green]Every ledger balances, and the sandbox holds exactly the mails that it should.[/]")
    return 0
