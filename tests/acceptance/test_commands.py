"""The command line and the README, as their users meet them."""

import asyncio
import json
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from caravan.client import AsyncClient, Batch, CallFailed, Client
from tests.acceptance.conftest import BackgroundSandbox, Up, caravan, environment, until, up
from tests.integration.journeys_for_tests import EXIT, MAIL, WAIT, contacts

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shared(shared_folder: Path) -> Iterator[Up]:
    """A running system for tests that leave it as it is, each with journeys of its own number."""
    with up(shared_folder) as running:
        yield running


def _published(running: Up, journey: int, source: str = EXIT) -> int:
    with running.client() as client:
        client.publish(journey, source.replace("journey: 1", f"journey: {journey}"))
    return journey


def _reach(running: Up) -> dict[str, str]:
    return {"URL": running.url, "CUSTOMER": running.told["customer"], "TOKEN": running.told["token"]}


def _ended(running: Up, batch: str):  # type: ignore[no-untyped-def]
    with running.client() as client:
        return until(lambda: (found := client.batch(batch).raw)["finishedAt"] and found)


def test_everything_in_the_readme_works_by_copy_and_paste(folder: Path, mails: BackgroundSandbox) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    with up(folder, SMTP_URL=mails.url) as running:
        known = {
            "CARAVAN_URL": running.url,
            "CARAVAN_CUSTOMER": running.told["customer"],
            "CARAVAN_TOKEN": running.told["token"],
        }

        def paste(beginning: str, **replaced: str) -> str:
            lines = re.search(rf"^    ({beginning}(?:.|\\\n)*?[^\\])\n", readme, re.MULTILINE)
            assert lines is not None, beginning
            command = lines[1].replace("curl ", "curl -sS ")
            for old, new in replaced.items():
                command = command.replace(old, new)
            done = subprocess.run(
                command, shell=True, cwd=ROOT, env={**environment(folder), **known}, capture_output=True, text=True
            )
            assert done.returncode == 0, (command, done.stderr)
            return done.stdout

        published = json.loads(paste(r"curl -X PUT \$CARAVAN_URL"))
        assert published["version"] == 1
        opened = json.loads(paste(r"curl -X POST \$CARAVAN_URL/\$CARAVAN_CUSTOMER/batchtrigger"))
        command = re.search(r'^    (curl -X PUT "http.*\\\n.*)$', readme, re.MULTILINE)
        assert command is not None
        put = command[1].replace("http://127.0.0.1:8080/uploads/…", opened["uploadUrl"]).replace("curl", "curl -sS")
        answer = json.loads(subprocess.run(put, shell=True, cwd=ROOT, capture_output=True, text=True).stdout)
        assert answer["batchId"] == opened["batchId"]
        until(lambda: len(mails.recipients) == 3)
        assert sorted(mails.recipients) == ["aretha@example.com", "bruce@example.com", "lady@example.com"]
        for line in re.findall(r"^    (curl -H .*)$", readme, re.MULTILINE):
            call = line.replace("b_…", opened["batchId"]).replace("curl ", "curl -sS --fail ")
            done = subprocess.run(call, shell=True, env={**os.environ, **known}, capture_output=True, text=True)
            assert done.returncode == 0, (call, done.stderr)
        single = json.loads(paste(r"curl -X POST \$CARAVAN_URL/\$CARAVAN_CUSTOMER/journeys"))
        assert single["contactId"] == "42"
        until(lambda: "nina@example.com" in mails.recipients)
        for line in re.findall(r"^    \.venv/bin/(caravan (?:contacts|batch) .*)$", readme, re.MULTILINE):
            words = [word for word in shlex.split(line)[1:] if word != "--watch"]
            words = [str(ROOT / word) if word.startswith("examples/") else word for word in words]
            settings = {name.removeprefix("CARAVAN_"): value for name, value in known.items()}
            assert caravan(folder, *words, **settings).returncode == 0, line


def _taken_from(client: Client, batch: str) -> Batch | None:
    return next((each for each in client.batches() if each.moved_from == batch), None)


def test_those_who_wait_move_by_command_with_and_without_a_server_between(shared: Up, tmp_path: Path) -> None:
    journey, file = _published(shared, 42, WAIT), tmp_path / "journey.yaml"
    apply = ("journeys", "apply", str(file), "--customer", shared.told["customer"], "--move-waiting")
    local, remote = {}, {**_reach(shared), "DATA": ""}
    with shared.client() as client:
        batch = client.start_batch(journey, [{"id": str(number)} for number in range(30)]).batch
        until(lambda: client.batch(batch).idle)
        for version, days, settings in ((2, "7 days", remote), (3, "8 days", local)):
            file.write_text(WAIT.replace("journey: 1", f"journey: {journey}").replace("3 days", days))
            applied = caravan(shared.folder, *apply, "--reschedule", **settings)
            assert applied.returncode == 0, applied.stderr
            told = (
                f"30 contacts at days of version {version - 1} can move into version {version}, where the step differs"
            )
            assert told in applied.stderr
            moved = until(partial(_taken_from, client, batch))
            assert client.wait(batch).ledger.outcomes() == {"moved": 30}
            assert (moved.version, moved.starter) == (version, "batch")
            batch = moved.id
        listed = caravan(shared.folder, "journeys", "waiting", str(journey), **remote)
        assert listed.stdout == "nobody stands in a version before 3\n"
        asked = caravan(shared.folder, "journeys", "move-waiting", str(journey), "--json", **remote)
        assert json.loads(asked.stdout) == {"journey": journey, "version": 3, "steps": []}
        shown = caravan(shared.folder, "batch", "show", batch, **remote)
        assert "those who waited in an older version in b_" in shown.stdout
    refused = caravan(shared.folder, *apply[:-1], "--reschedule", **remote)
    assert (refused.returncode, refused.stderr) == (2, "caravan: --reschedule goes with --move-waiting.\n")


def test_the_sdk_works_in_an_event_loop(shared: Up) -> None:
    journey, numbers = _published(shared, 41), range(3_000)

    async def rows() -> AsyncIterator[dict[str, object]]:
        for number in numbers:
            yield {"number": number, "city": "Oslo"}
        yield {"number": 7}

    async def work() -> None:
        async with AsyncClient(shared.url, int(shared.told["customer"]), shared.told["token"]) as client:
            started = await client.start_batch(journey, rows(), id_column="number")
            singles = [client.commence(journey, f"single-{number}") for number in range(100)]
            batch, *entered = await asyncio.gather(client.wait_until_done(started.batch), *singles)
            assert (batch.state, batch.ledger.entered) == ("completed", len(numbers))
            assert {each.contact for each in entered} == {f"single-{number}" for number in range(100)}
            assert [each.line async for each in client.rejects(started.batch)] == [len(numbers) + 1]
            contacts = {each.contact async for each in client.journal(started.batch, outcome="passed")}
            assert contacts == set(map(str, numbers))

    asyncio.run(work())


def test_the_readmes_python_works_by_copy_and_paste(folder: Path, mails: BackgroundSandbox) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^    from pathlib.*?(?=^\S)", readme, re.MULTILINE | re.DOTALL)
    assert found is not None
    code = textwrap.dedent(found[0])
    with up(folder, SMTP_URL=mails.url) as running, running.client() as client:
        client.publish(4711, (ROOT / "examples" / "spring.yaml").read_text(encoding="utf-8"))
        for old, new in (("http://127.0.0.1:8080", running.url), ("1001", running.told["customer"])):
            code = code.replace(old, new)
        code = code.replace("crv_…", running.told["token"])
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("running {"), done.stderr
    assert "'sent': 3" in done.stdout


def test_the_readmes_files_are_the_examples() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("spring.yaml", "contacts.ndjson"):
        text = (ROOT / "examples" / name).read_text(encoding="utf-8")
        assert "".join(f"    {line}\n" for line in text.splitlines()) in readme


def test_a_second_up_on_a_folder_is_refused_in_one_sentence(shared: Up) -> None:
    second = caravan(shared.folder, "up", "--port", "0")
    assert second.returncode == 1
    assert len(second.stderr.strip().splitlines()) == 1
    assert "is running" in second.stderr


def test_commands_work_beside_a_running_up_and_without_one(folder: Path, tmp_path: Path) -> None:
    journey = tmp_path / "journey.yaml"
    journey.write_text(EXIT)
    assert caravan(folder, "migrate").returncode == 0
    number = caravan(folder, "customers", "add", "Shop").stdout.strip()
    assert number.isdigit()
    token = caravan(folder, "tokens", "create", "--customer", number).stdout
    assert re.fullmatch(r"crv_\w{12}_[\w-]+\n", token)
    with up(folder) as running:
        assert "token" not in running.told
        applied = caravan(folder, "journeys", "apply", str(journey), "--customer", number)
        assert applied.returncode == 0, applied.stderr
        second = caravan(folder, "tokens", "create", "--customer", number, "--name", "other").stdout.strip()
        for each in (token.strip(), second):
            with running.client({"customer": number, "token": each}) as client:
                assert client.journeys()[0].version == 1
    assert caravan(folder, "tokens", "create", "--customer", "9").returncode == 1
    kept = caravan(folder, "customers", "retain", number, "--days", "90").stdout
    assert kept == f"{number}: contacts are kept for 90 days\n"
    assert "30 days, by CARAVAN_RETENTION_DAYS" in caravan(folder, "customers", "retain", number).stdout
    assert caravan(folder, "customers", "retain", "9", "--days", "90").returncode == 1
    assert caravan(folder, "customers", "retain", number, "--days", "-1").returncode == 2
    assert caravan(folder, "journeys", "apply", str(journey), "--customer", "9").returncode == 1


def test_batch_commands_start_watch_and_tell(shared: Up, tmp_path: Path) -> None:
    folder, settings = shared.folder, _reach(shared)
    file = tmp_path / "contacts.ndjson"
    file.write_bytes(contacts(20) + b"nonsense\n")
    passed, stood = str(_published(shared, 11)), str(_published(shared, 12, WAIT))
    watched = caravan(folder, "batch", "start", str(file), "--journey", passed, "--watch", **settings)
    assert watched.returncode == 0, watched.stderr
    assert "rejected as not_json: 1" in watched.stdout
    batch = caravan(folder, "batch", "start", str(file), "--journey", stood, **settings).stdout.strip()
    shown = json.loads(caravan(folder, "batch", "show", batch, "--json", **settings).stdout)
    assert shown["id"] == batch
    until(lambda: "standing 20" in caravan(folder, "batch", "show", batch, **settings).stdout)
    assert "line 21: not_json" in caravan(folder, "batch", "rejects", batch, **settings).stdout
    for change, state in [("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")]:
        assert state in caravan(folder, "batch", change, batch, **settings).stdout
    journal = caravan(folder, "batch", "journal", batch, "--outcome", "cancelled", "--json", **settings).stdout
    assert len(journal.splitlines()) == 20
    assert batch in caravan(folder, "batch", "list", **settings).stdout
    missing = caravan(folder, "batch", "show", "b_none", **settings)
    assert (missing.returncode, len(missing.stderr.strip().splitlines())) == (1, 1)
    assert caravan(folder, "batch", "list", **settings | {"URL": "http://127.0.0.1:1"}).returncode == 1
    assert caravan(folder, "batch", "list").returncode == 1


def _kill_api(running: Up) -> None:
    """`caravan up` keeps the socket, and starts another."""
    for each in psutil.Process(running.process.pid).children(recursive=True):
        if "serve" in each.cmdline():
            each.kill()


def test_batch_start_goes_on_over_an_api_that_is_killed_and_nothing_starts_twice(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "contacts.ndjson"
    file.write_bytes(contacts(300_000))
    with up(folder) as running, running.client() as client:
        client.publish(1, WAIT)
        settings = {"URL": running.url, "CUSTOMER": running.told["customer"], "TOKEN": running.told["token"]}
        command = [sys.executable, "-m", "caravan", "batch", "start", str(file), "--journey", "1", "--watch"]
        with subprocess.Popen(
            command, env=environment(folder, **settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as starting:
            assert starting.stdout is not None and starting.stderr is not None
            batch = starting.stderr.readline().split()[0]
            _kill_api(running)  # in the middle of the PUT, or before it
            assert f"{batch}  " in starting.stdout.readline()
            until(lambda: _state(running, batch) == "running")
            _kill_api(running)  # while it is watched
            until(lambda: _change(running, batch, "cancel"))
            told, complaints = starting.communicate(timeout=60)
        assert starting.returncode == 1  # it was cancelled
        assert (" cancelled " in told, complaints) == (True, "")
        assert [each.id for each in client.batches()] == [batch]
        assert client.batch(batch).raw["ledger"]["entered"] == 300_000


def _state(running: Up, batch: str) -> str:
    with running.client() as client:
        return str(client.batch(batch).raw["state"])


def _change(running: Up, batch: str, change: str) -> bool:
    try:
        with running.client() as client:
            client.change(batch, change)
    except CallFailed:
        return False
    return True


def test_batch_start_with_a_key_may_be_repeated_and_starts_one_batch(shared: Up, tmp_path: Path) -> None:
    file = tmp_path / "contacts.ndjson"
    file.write_bytes(contacts(20))
    journey = _published(shared, 13)
    command = ["batch", "start", str(file), "--journey", str(journey), "--key", "night 1"]

    def start(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return caravan(shared.folder, *arguments, **_reach(shared))

    with shared.client() as client:
        started = [start(*command) for _ in range(2)]
        (batch,) = (each.id for each in client.batches(journey=journey))
        assert [(each.returncode, each.stdout) for each in started] == [(0, f"{batch}\n")] * 2
        assert _ended(shared, batch)["ledger"]["entered"] == 20
        file.write_bytes(contacts(21))
        other = start(*command)
        assert (other.returncode, "already has another file" in other.stderr) == (1, True)
        none = start(*command[:-1], "")
        assert (none.returncode, "1 to 255 printable" in none.stderr) == (1, True)


def test_wrong_usage_exits_with_2_and_wrong_settings_with_1(folder: Path) -> None:
    assert caravan(folder, "batch", "start", "--journey", "1").returncode == 2
    assert caravan(folder, "nonsense").returncode == 2
    wrong = caravan(folder, "up", PORT="many")
    assert (wrong.returncode, "CARAVAN_PORT" in wrong.stderr) == (1, True)
    queue = caravan(folder, "worker", "--queues", "deliver,nonsense")
    assert (queue.returncode, len(queue.stderr.splitlines())) == (2, 1)
    assert "'nonsense'; there are fetch, intake, spans, singles, advance, deliver, paced, upkeep." in queue.stderr
    none = caravan(folder, "worker", "--concurrency", "0")
    assert (none.returncode, "--concurrency" in none.stderr) == (2, True)
    assert not folder.exists()  # nor was a database started for it


def test_contacts_check_tells_what_the_server_would(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "contacts.ndjson"
    file.write_bytes(contacts(3) + b"nonsense\n\n" + contacts(1))
    told = json.loads(caravan(folder, "contacts", "check", str(file), "--json").stdout)
    assert (told["lines"], told["blank"], told["entered"]) == (6, 1, 3)
    file.write_bytes(b"[]")
    failed = caravan(folder, "contacts", "check", str(file))
    assert failed.returncode == 1
    assert "json_array" in failed.stderr or "empty" in failed.stderr


def test_journeys_check_names_file_and_line(folder: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(EXIT)
    bad.write_text(EXIT.replace("exit: {}", "exlt: {}"))
    assert caravan(folder, "journeys", "check", str(good)).returncode == 0
    checked = caravan(folder, "journeys", "check", str(good), str(bad))
    assert checked.returncode == 1
    assert re.search(rf"{bad}:\d+: ", checked.stderr)


def test_journeys_check_prints_warnings_and_fails_for_problems_only(folder: Path, tmp_path: Path) -> None:
    file, people = tmp_path / "journey.yaml", tmp_path / "contacts.ndjson"
    people.write_text('{"id": "1", "properties": {"vip": true, "city": "Oslo"}}\n')
    split = (
        "journey: 1\nname: Sale #1\nsteps:\n  - id: a\n    split:\n      - if: cty = 'Oslo'\n        to: b\n  - id: b\n"
    )
    file.write_text(split + "    exit: {}\n")
    checked = caravan(folder, "journeys", "check", str(file), "--contacts", str(people))
    assert (checked.returncode, checked.stdout) == (0, f"{file}: ok, 2 steps, 2 warnings\n")
    first, second = checked.stderr.splitlines()
    assert first.startswith(f"{file}:2: warning: name: YAML takes #1 for a comment")
    assert second == (
        f"{file}:6: warning: a.split[0].if: no contact of the file has the property cty; did you mean city?"
    )
    assert len(caravan(folder, "journeys", "check", str(file)).stderr.splitlines()) == 1
    file.write_text(split + "    exlt: {}\n")
    failed = caravan(folder, "journeys", "check", str(file), "--json")
    found = json.loads(failed.stdout)
    assert (failed.returncode, found["ok"], len(found["problems"]), len(found["warnings"])) == (1, False, 1, 1)
    people.write_text("[]")
    refused = caravan(folder, "journeys", "check", str(file), "--contacts", str(people))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert len(refused.stderr.splitlines()) == 1


def test_journeys_are_applied_over_http_with_a_token_where_there_is_no_data_folder(shared: Up, tmp_path: Path) -> None:
    file = tmp_path / "journey.yaml"
    source = EXIT.replace("journey: 1", "journey: 14").replace("Straight out", "Sale #1").replace("\n", "\r\n").encode()
    file.write_bytes(source)
    folder, settings = shared.folder, {"URL": shared.url, "TOKEN": shared.told["token"] + "\n", "DATA": ""}
    arguments = ("journeys", "apply", str(file), "--customer", shared.told["customer"])
    applied = caravan(folder, *arguments, **settings)
    assert applied.returncode == 0, applied.stderr
    assert applied.stdout == "journey 14 (Sale) is published as version 1\n"
    assert applied.stderr.startswith(f"{file}:3: warning: name: YAML takes #1 for a comment")
    with shared.client() as client:
        assert client.source(14) == client.source(14, 1) == source
        assert [each.version for each in client.versions(14)] == [1]
        kept = [client.open_upload(14).batch for _ in range(2)]
    settings |= {"CUSTOMER": shared.told["customer"]}
    paused = caravan(folder, "journeys", "pause", "14", **settings)
    assert (paused.returncode, paused.stderr) == (0, "journey 14: 0 batches paused\n"), "none has its file yet"
    assert caravan(folder, "journeys", "resume", "14", **settings).returncode == 0
    recalled = caravan(folder, "journeys", "cancel", "14", "--json", **settings)
    assert sorted(json.loads(recalled.stdout)["batches"]) == sorted(kept)
    refused = caravan(folder, *arguments, **settings | {"TOKEN": "crv_wrong"})
    assert refused.returncode == 1
    assert "crv_wrong" not in refused.stderr
    local = caravan(folder, *arguments, "--data", str(folder), **settings | {"URL": "http://127.0.0.1:1"})
    assert local.stdout.endswith("is published as version 1\n"), local.stderr


def test_a_contact_is_forgotten_by_command_and_by_call_beside_a_running_up(shared: Up, tmp_path: Path) -> None:
    file = tmp_path / "contacts.ndjson"
    file.write_bytes(contacts(20, 1_000_000))
    customer = shared.told["customer"]
    with shared.client() as client:
        batch = client.start_file(_published(shared, 17, WAIT), file).batch
        until(lambda: client.batch(batch).ledger.standing == 20)
        done = caravan(shared.folder, "contacts", "forget", "1000007", "--customer", customer)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout in ("forgotten (rows: 1, batches: 1)\n", "forgotten (batches: 1, rows: 1)\n")
        asked = client.forget_contact("1000008")
        found = until(lambda: (told := client.erasure(asked.id)).finished and told)
        assert (found.erased["batches"], found.waiting_for, asked.finished) == (1, None, False)
        for contact in ("1000007", "1000008"):
            with pytest.raises(CallFailed):
                client.contact(contact)
        assert client.contact("1000009").entries[0].batch == batch
        client.change(batch, "cancel")
    nobody = caravan(shared.folder, "contacts", "forget", "nobody", "--customer", customer)
    assert (nobody.returncode, nobody.stdout) == (0, "forgotten (nothing was kept)\n")
    wrong = caravan(shared.folder, "contacts", "forget", "1000009", "--customer", "99")
    assert (wrong.returncode, "There is no customer 99" in wrong.stderr) == (1, True)


def test_a_client_that_goes_away_in_mid_upload_leaves_the_batch_awaiting(shared: Up) -> None:
    with shared.client() as client:
        started = client.open_upload(_published(shared, 15))
        assert started.upload_url is not None
        address = urlsplit(started.upload_url)
        kept = shared.folder / "uploads"
        before = set(kept.glob("*/*"))
        with socket.create_connection((address.hostname, address.port)) as line:  # type: ignore[arg-type]
            head = f"PUT {address.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
            line.sendall(head.encode() + b"Content-Length: 90000000\r\n\r\n" + contacts(30_000))
            until(lambda: client.batch(started.batch).raw["state"] == "receiving")
            until(lambda: set(kept.glob("*/*")) - before)
        until(lambda: client.batch(started.batch).raw["state"] == "awaiting_upload")
        assert set(kept.glob("*/*")) <= before


def test_a_client_that_vanishes_without_a_word_is_given_up_and_the_put_can_be_repeated(folder: Path) -> None:
    """As when its power fails: the connection stays open, and nothing comes."""
    with up(folder, UPLOAD_TIMEOUT="1") as running, running.client() as client:
        client.publish(1, EXIT)
        started = client.open_upload(1)
        assert started.upload_url is not None
        address = urlsplit(started.upload_url)
        with socket.create_connection((address.hostname, address.port), timeout=60) as line:  # type: ignore[arg-type]
            head = f"PUT {address.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
            line.sendall(head.encode() + b"Content-Length: 90000000\r\n\r\n" + contacts(1_000))
            answer = b"".join(iter(lambda: line.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"nothing came for 1 seconds" in answer
        assert client.batch(started.batch).raw["state"] == "awaiting_upload"
        assert list((folder / "uploads").glob("*/*")) == []
        assert _put(started.upload_url, contacts(3)) == 200
        assert _ended(running, started.batch)["ledger"]["entered"] == 3


def test_a_put_that_broke_off_and_is_repeated_starts_one_batch(shared: Up) -> None:
    with shared.client() as client:
        journey = _published(shared, 16)
        started = client.open_upload(journey)
        assert started.upload_url is not None
        for sent in (0, 10_000, 290_000):
            _break_off(started.upload_url, contacts(5_000), sent)
        for _ in range(2):
            assert _put(started.upload_url, contacts(5_000)) == 200
        found = _ended(shared, started.batch)
        assert _put(started.upload_url, contacts(5_000)) == 200
        assert client.batch(started.batch).raw == found
        assert [each.id for each in client.batches(journey=journey)] == [started.batch]
        assert found["ledger"]["steps"] == [
            {"step": "out", "arrived": 5_000, "standing": 0, "outcomes": {"passed": 5_000}}
        ]


def _break_off(url: str, content: bytes, sent: int) -> None:
    """PUT a file of which only some bytes arrive before the network fails."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as line:  # type: ignore[arg-type]
        head = f"PUT {address.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
        line.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[:sent])
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end


def _put(url: str, content: bytes, kind: str = "text/plain") -> int:
    return httpx.put(url, content=content, headers={"Content-Type": kind}, timeout=30).status_code


def test_beside_a_second_worker_and_over_a_restart_there_is_one_batch_and_one_start(
    folder: Path, mails: BackgroundSandbox
) -> None:
    settings = {"SMTP_URL": mails.url, "COHORT_SIZE": "300"}
    with up(folder, **settings) as running, running.client() as client:
        client.publish(1, MAIL)
        command = [sys.executable, "-m", "caravan", "worker", "--workers", "1"]
        with subprocess.Popen(command, env=environment(folder, **settings)) as second:
            try:
                started = client.open_upload(1)
                assert started.upload_url is not None
                assert _put(started.upload_url, contacts(6_000)) == 200
                until(lambda: len(mails.recipients) > 500, pause=0.01)
                assert running.stop() == 0
                with up(folder, **settings) as again, again.client(running.told) as later:
                    repeated = urlsplit(started.upload_url)._replace(netloc=urlsplit(again.url).netloc).geturl()
                    assert _put(repeated, contacts(6_000)) == 200
                    found = until(lambda: (found := later.batch(started.batch).raw)["finishedAt"] and found)
                    assert [each.id for each in later.batches()] == [started.batch]
            finally:
                second.terminate()
                assert second.wait(60) == 0
    assert found["ledger"]["steps"] == [{"step": "mail", "arrived": 6_000, "standing": 0, "outcomes": {"sent": 6_000}}]
    assert sorted(mails.recipients) == sorted(f"c{number}@example.com" for number in range(6_000))


def test_the_token_of_an_upload_url_is_in_no_log(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with up(folder, LOG_LEVEL="debug") as running, running.client() as client:
        client.publish(1, EXIT)
        url = client.open_upload(1).upload_url
        assert url is not None
        _break_off(url, contacts(1_000), 10_000)
        statuses = [_put(url, contacts(3), "text/html"), _put(url, contacts(3)), _put(url, contacts(4))]
        statuses += [_put(f"{url}x", contacts(3)), httpx.get(url).status_code]
        assert statuses == [415, 200, 409, 403, 405]
    said = "".join(capfd.readouterr())
    assert "PUT /uploads/…: the client went away" in said
    assert url.rpartition("/")[2] not in said


def test_sigterm_stops_everything_and_a_killed_child_is_started_again(folder: Path) -> None:
    with up(folder) as running:
        for each in psutil.Process(running.process.pid).children():
            each.kill()
        with running.client() as client:
            client.publish(1, EXIT)
            assert until(lambda: _try(client))
        family = running.family()
        assert running.stop() == 0
        _, alive = psutil.wait_procs(family, 15)
        assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


def _try(client):  # type: ignore[no-untyped-def]
    entered = client.commence(1, "a", {})
    return until(lambda: client.batch(entered.batch).raw["state"] == "completed")


def test_children_end_when_up_is_killed_alone(folder: Path) -> None:
    with up(folder) as running:
        family = [each for each in running.family() if each.pid != running.process.pid]
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        deadline = time.monotonic() + 20
        while [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize("contacts_", ["700"])
def test_the_demo_exits_with_0(folder: Path, contacts_: str) -> None:
    shown = caravan(folder, "demo", "--contacts", contacts_)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "Every ledger balances" in shown.stdout
