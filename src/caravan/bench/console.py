"""`bench console`: what pages take and weigh while a large batch is sent, and what very many open pages cost."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any
from urllib.parse import urljoin

import httpx
import psycopg
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from caravan.bench.audience import Audience, audience
from caravan.bench.inputs import SHAPES, Made, write_file
from caravan.bench.latency import percentile
from caravan.bench.letter import letter
from caravan.bench.measure import Timed, now
from caravan.bench.report import circumstances, show_circumstances
from caravan.bench.sinks import watched_sink
from caravan.bench.system import JOURNEY, System, Unbalanced, follow, send, up, upload, workspace
from caravan.errors import Unavailable
from caravan.server.embedded import embedded
from caravan.store import sql

YARDSTICK = "the same installation with nothing to do, and with no page open"
IDLE, BUSY = "idle", "a batch is sent"
_OCTETS = 2_000
_CONTACT = "c-00000002"  # one that all batches have
_SMALL = 1_000  # contacts of the batch that is held, so that nothing is to be done
_PASSWORD = "a bench, an oak and nine planks"
_LINKED = re.compile(r'(?:href|src)="(/console/static/[^"]+)"')
_Q = sql.load("caravan.bench", "bench.sql")


@dataclass(frozen=True, slots=True)
class Visit:
    """One page in one phase; times in seconds."""

    page: str
    phase: str
    times: int
    p50: float
    p95: float
    slowest: float


@dataclass(frozen=True, slots=True)
class Weight:
    """What a page loads over the wire, compressed, in bytes: by a browser's first visit and by a later one."""

    page: str
    first: int
    later: int


@dataclass(frozen=True, slots=True)
class Watched:
    """Open pages in one phase, for some seconds; those without any are the yardstick."""

    phase: str
    pages: int
    cores: float  # of the API's processes
    transactions: float  # of the database, a second
    events: float  # that all pages together got, a second


@dataclass(frozen=True, slots=True)
class Pages:
    """The whole benchmark."""

    rows: int
    visits: list[Visit]
    weights: list[Weight]
    watched: list[Watched]
    ledger: dict[str, Any]  # of the large batch; it was checked

    def as_json(self) -> dict[str, Any]:
        """All of it. Times in seconds, weights in bytes."""
        told = {
            "findings": [asdict(each) for each in self.visits],
            "weights": [asdict(each) for each in self.weights],
            "open_pages": [asdict(each) for each in self.watched],
        }
        return {**circumstances("console", self.rows, YARDSTICK), **told, "ledger": self.ledger, "balances": True}

    def show(self, console: Console) -> None:
        """Print it as tables."""
        show_circumstances(console, "console", self.rows, YARDSTICK)
        _print(
            console,
            ("page", "while", "visits", "p50 ms", "p95 ms", "slowest"),
            [
                (
                    each.page,
                    each.phase,
                    f"{each.times}",
                    *(f"{s * 1000:,.1f}" for s in (each.p50, each.p95, each.slowest)),
                )
                for each in self.visits
            ],
        )
        _print(
            console,
            ("page", "", "first visit KB", "later KB"),
            [(each.page, "", f"{each.first / 1000:,.1f}", f"{each.later / 1000:,.1f}") for each in self.weights],
        )
        _print(
            console,
            ("open pages", "while", "% of a core", "transactions/s", "events/s"),
            [
                (
                    f"{each.pages}",
                    each.phase,
                    *(f"{n:,.1f}" for n in (each.cores * 100, each.transactions, each.events)),
                )
                for each in self.watched
            ],
        )
        console.print("the ledger balances")


def run(rows: int, pages: int, seconds: float, visits: int, say: Callable[[str], None]) -> Pages:
    """All of it. Raises `Unbalanced` when the ledger is not what it must be."""
    with (
        workspace() as folder,
        watched_sink() as (port, _),
        up(folder / "data", letter(_OCTETS).journey(), smtp_url=f"smtp://127.0.0.1:{port}") as system,
        embedded(folder / "data") as url,
        _signed_in(system) as http,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as caller,
    ):
        bench = _Bench(system, url, http, caller, pages, seconds, visits)
        say(f"making {rows:,} rows")
        small = write_file(folder / "small.ndjson", _SMALL, SHAPES["clean"])
        large = write_file(folder / "large.ndjson", rows)
        with system.client() as client:
            held = upload(client, client.open_upload(JOURNEY, hold=True), small.path).batch
            follow(client, held, ("mail",), _SMALL)
            bench.held = held
            say("idle")
            found = bench.phase(IDLE, held)
            weights = [bench.weight(name, path) for name, path in bench.paths(held).items()]
            batch = send(client, large.path).batch
            follow(client, batch, ("mail",), 1)
            say("while a batch is sent")
            busy = bench.phase(BUSY, batch)
            if (still := client.batch(batch)).state != "running":
                raise Unavailable(f"The batch was {still.state} before all was measured: take more rows.")
            client.cancel(batch)
            ledger = _balanced(follow(client, batch, (), 0)["ledger"], large)
    return Pages(rows, [*found[0], *busy[0]], weights, [*found[1], *busy[1]], ledger)


@dataclass(slots=True)
class _Bench:
    """What all phases need."""

    system: System
    url: str  # of the database
    http: httpx.Client
    caller: ProcessPoolExecutor
    pages: int
    seconds: float
    visits: int
    held: str = ""  # the batch that waits for a review

    def paths(self, batch: str) -> dict[str, str]:
        """The pages that are looked at, by their names."""
        home = f"/console/{self.system.customer}"
        return {
            "batches": f"{home}/batches",
            "a batch": f"{home}/batches/{batch}",
            "recall": f"{home}/batches/{batch}/recall",
            "rejected rows": f"{home}/batches/{batch}/rejects",
            "not reached": f"{home}/batches/{batch}/failures",
            "dead letters": f"{home}/batches/{batch}/dead-letters",
            "what came back": f"{home}/batches/{batch}/returns",
            "start again": f"{home}/batches/{batch}/restart",
            "new batch": f"{home}/new",
            "preflight": f"{home}/new/{self.held}",
            "journeys": f"{home}/journeys",
            "a journey": f"{home}/journeys/{JOURNEY}",
            "the editor": f"{home}/journeys/{JOURNEY}/edit",
            "contacts": f"{home}/contacts",
            "a contact": f"{home}/contacts?id={_CONTACT}",
            "suppressions": f"{home}/suppressions",
            "channels": f"{home}/channels",
            "settings": f"{home}/settings",
            "audit log": f"{home}/settings/audit",
            "sandbox": f"{home}/sandbox",
            "system": "/console/system",
        }

    def phase(self, phase: str, batch: str) -> tuple[list[Visit], list[Watched]]:
        """Look at each page in turn, then keep none open, then many."""
        paths = self.paths(batch)
        took: dict[str, list[float]] = {name: [] for name in paths}
        for _ in range(self.visits):
            for name, path in paths.items():
                took[name].append(self._visit(path))
        visits = [
            Visit(name, phase, len(each), percentile(each, 0.5), percentile(each, 0.95), max(each))
            for name, each in took.items()
        ]
        return visits, [self._watched(phase, batch, count) for count in (0, self.pages)]

    def weight(self, name: str, path: str) -> Weight:
        """What a browser loads: the page with what it links to, and later the page alone, since the rest is kept."""
        page, octets = self._load(path)
        linked = {urljoin(path, each) for each in _LINKED.findall(page)}
        return Weight(name, octets + sum(self._load(each)[1] for each in linked), octets)

    def _visit(self, path: str) -> float:
        begin = now()
        self._load(path)
        return now() - begin

    def _load(self, path: str) -> tuple[str, int]:
        """A page, and how many bytes came over the wire for it."""
        with self.http.stream("GET", path) as answer:
            text = "".join(answer.iter_text())
            if answer.status_code != 200:
                raise Unavailable(f"{path} was answered with {answer.status_code}.")
            return text, answer.num_bytes_downloaded

    def _watched(self, phase: str, batch: str, pages: int) -> Watched:
        path = f"{self.paths(batch)['a batch']}/live"
        cookie = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        watching = Audience(self.system.url, path, cookie, pages, self.seconds)
        ready = self.caller.submit(audience, watching)
        with self.system.meter() as meter:
            before = _transactions(self.url)
            heard = ready.result()
            after = _transactions(self.url)
        cpu = meter.run(Timed(heard.seconds)).cpu.get("serve", 0.0)
        return Watched(
            phase, pages, cpu / heard.seconds, (after - before) / heard.seconds, heard.events / heard.seconds
        )


def _transactions(url: str) -> int:
    """How many the database has ended so far."""
    with psycopg.connect(url) as connection:
        found = connection.execute(_Q.transactions).fetchone()
    assert found is not None
    return int(found[0])


@contextmanager
def _signed_in(system: System) -> Iterator[httpx.Client]:
    """A browser of the first user."""
    headers = {"Sec-Fetch-Site": "same-origin", "Accept-Encoding": "gzip"}
    with httpx.Client(base_url=system.url, headers=headers, timeout=60) as http:
        _post(http, "/console/login", email=system.email, password=system.password)
        _post(http, "/console/password", old=system.password, new=_PASSWORD, again=_PASSWORD)
        yield http


def _post(http: httpx.Client, path: str, **fields: str) -> None:
    answer = http.post(path, data=fields)
    if answer.status_code != 303:
        raise Unavailable(f"{path} was answered with {answer.status_code}.")


def _balanced(ledger: dict[str, Any], made: Made) -> dict[str, Any]:
    """The ledger, if every line and everyone who arrived is accounted for."""
    wrong = [step for step in ledger["steps"] if step["arrived"] != step["standing"] + sum(step["outcomes"].values())]
    if wrong or (ledger["lines"], ledger["entered"]) != (made.lines, made.entered):
        raise Unbalanced(f"The ledger is wrong: {ledger}.")
    return ledger


def _print(console: Console, names: tuple[str, ...], found: list[tuple[str, ...]]) -> None:
    table = Table(box=SIMPLE)
    for place, name in enumerate(names):
        table.add_column(name, justify="left" if place < 2 else "right", no_wrap=True)
    for each in found:
        table.add_row(*each)
    console.print(table)
