"""The SDK before a server that says what the test wrote for it, over a real socket."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.client import Branch, CallFailed, Client, JournalEntry, Restart, Sample
from caravan.client.transport import lines
from caravan.errors import InvalidInput

#: What one call is answered: a status and a body, or None for a connection that is closed without an answer; with
#: "cut", one that breaks off in the middle of the body.
Answer = tuple[int, str] | tuple[int, str, str] | None


class Server:
    """Answers one call after the other, and keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[tuple[str, str, str | None, bytes]] = []  # method, path, key, body
        self.links: list[str] = []  # for the headers `Link` of the first answers
        left, links = list(answers), self.links
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                chunked = self.headers.get("Transfer-Encoding") == "chunked"
                body = self._chunks() if chunked else self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked.append((self.command, self.path, self.headers.get("Idempotency-Key"), body))
                self.close_connection = True
                if (answer := left.pop(0)) is None:
                    return
                status, content = answer[0], answer[1].replace("URL", url).encode()
                self.send_response(status)
                self.send_header("Connection", "close")
                if links:
                    self.send_header("Link", links.pop(0))
                self.send_header("Content-Length", str(len(content) + (100 if len(answer) > 2 else 0)))
                self.end_headers()
                self.wfile.write(content)

            def _chunks(self) -> bytes:
                """A body whose length was not known before (RFC 9112 §7.1), as far as it came."""
                body = b""
                while size := int(self.rfile.readline() or b"0", 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = url = f"http://127.0.0.1:{self.http.server_address[1]}"


@contextmanager
def serving(*answers: Answer, patience: float = 60) -> Iterator[tuple[Server, Client, list[float]]]:
    slept: list[float] = []
    server = Server(*answers)
    thread = Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    try:
        with Client(server.url, 7, "t", patience=patience, sleep=slept.append) as client:
            yield server, client, slept
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


OPENED = (200, '{"batchId": "b_1", "uploadUrl": "URL/uploads/secret"}')
TAKEN = (200, '{"batchId": "b_1"}')
AWAY = (503, '{"error": "Come back later."}')


LEDGER = {"lines": 1, "blank": 0, "entered": 1, "rejected": {}, "steps": []}
BATCH = {"id": "b_1", "state": "running", "journey": 1, "ledger": LEDGER}


def _event(finished: str | None) -> str:
    return f"event: batch\ndata: {json.dumps({**BATCH, 'finishedAt': finished})}\n\n"


def _entry(line: int) -> str:
    at = "2026-01-01T00:00:00+00:00"
    return json.dumps({"contact": "c", "line": line, "step": "s", "outcome": "sent", "at": at, "detail": None})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "contacts.ndjson"
    path.write_bytes(b'{"id": "1"}\n')
    return path


def test_a_line_ends_with_a_newline_and_nothing_else() -> None:
    rows = '{"row": "one\u2028two\x85three"}\n{"row": "fo'.encode(), b'ur"}\n\nlast'
    answer = httpx.Response(200, content=iter(rows))
    assert list(lines(answer.iter_text())) == ['{"row": "one\u2028two\x85three"}', '{"row": "four"}', "last"]


def test_a_file_is_started_once_whatever_answers_are_lost(file: Path) -> None:
    told: list[str] = []
    with serving(None, AWAY, OPENED, None, AWAY, (408, "{}"), TAKEN) as (server, client, slept):
        started = client.start_file(1, file, opened=lambda started: told.append(started.batch))
    assert (started.batch, told) == ("b_1", ["b_1"])
    assert [method for method, *_ in server.asked] == ["POST"] * 3 + ["PUT"] * 4
    assert len({(key, body) for method, _, key, body in server.asked if method == "POST"}) == 1
    assert server.asked[0][2]
    assert {(path, body) for method, path, _, body in server.asked if method == "PUT"} == {
        ("/uploads/secret", file.read_bytes())
    }
    assert slept == [0.5, 1, 0.5, 1, 2]


def test_a_url_is_started_once_whatever_answers_are_lost() -> None:
    with serving(None, AWAY, TAKEN) as (server, client, _):
        assert client.start_url(1, "https://example.com/c", key="night-1").batch == "b_1"
    assert len(set(server.asked)) == 1


def test_a_url_without_a_key_of_the_caller_is_not_asked_for_again_if_it_may_have_arrived() -> None:
    """A server that knows no such keys would start twice."""
    with serving(AWAY, None, TAKEN) as (server, client, _):
        with pytest.raises(CallFailed):
            client.start_url(1, "https://example.com/c")
        assert len(server.asked) == 2  # the first one certainly was not taken


def test_the_key_is_the_callers_if_there_is_one_and_another_for_each_call_if_not(file: Path) -> None:
    with serving(TAKEN, OPENED, TAKEN, TAKEN, TAKEN) as (server, client, _):
        client.start_url(1, "https://example.com/c", key="night-1")
        client.start_file(1, file, key="night-2")
        client.start_url(1, "https://example.com/c")
        client.start_url(1, "https://example.com/c")
    keys = [key for method, _, key, _ in server.asked if method == "POST"]
    assert keys[:2] == ["night-1", "night-2"]
    assert len(set(keys)) == 4


@pytest.mark.parametrize("key", ["", " ", "früh", "a\nb", "x" * 256])
def test_a_key_that_no_server_takes_is_refused_before_anything_is_sent(key: str) -> None:
    with serving() as (server, client, _), pytest.raises(InvalidInput, match="1 to 255 printable"):
        client.start_url(1, "https://example.com/c", key=key)
    assert server.asked == []


def test_patience_ends_with_one_sentence_and_no_credential(file: Path) -> None:
    lost = serving(OPENED, None, None, None, patience=1)
    with lost as (server, client, slept), pytest.raises(CallFailed) as failed:
        client.start_file(1, file)
    assert re.fullmatch(rf"Caravan at {server.url} does not answer: .*\.", failed.value.message)
    assert (failed.value.status, failed.value.passes, slept) == (0, True, [0.5, 0.5])
    assert "secret" not in failed.value.message


def test_what_will_not_pass_is_not_repeated(file: Path) -> None:
    refused = serving(OPENED, (409, '{"error": "It has another file."}'))
    with refused as (_, client, slept), pytest.raises(CallFailed, match="It has another file") as failed:
        client.start_file(1, file)
    assert (failed.value.status, slept) == (409, [])


@pytest.mark.parametrize(
    "call",
    [
        lambda client, url: client.upload(f"{url}/uploads/secret", Path(__file__)),
        lambda client, _: client.batch("b_1"),
        lambda client, _: client.open_upload(1),
        lambda client, _: client.commence(1, "c", {}),
        lambda client, _: client.change("b_1", "pause"),
        lambda client, _: list(client.journal("b_1")),
        lambda client, _: list(client.rejects("b_1")),
    ],
)
def test_every_other_call_is_tried_once_and_fails_with_a_sentence(
    call: Callable[[Client, str], object],
) -> None:
    with serving(None) as (server, client, slept), pytest.raises(CallFailed, match="does not answer"):
        call(client, server.url)
    assert (len(server.asked), slept) == (1, [])


def test_a_journal_that_breaks_off_gives_its_whole_lines_and_fails() -> None:
    came: list[JournalEntry] = []
    broken = (200, f'{_entry(1)}\n{_entry(2)}\n{{"li', "cut")
    with serving(broken) as (_, client, _), pytest.raises(CallFailed, match="does not answer"):
        came.extend(client.journal("b_1"))
    assert [each.line for each in came] == [1, 2]


def test_events_go_on_over_connections_that_break_and_servers_that_are_away() -> None:
    begun, ended = _event(None), _event("2026-01-01")
    answers = [(200, begun, "cut"), None, AWAY, (200, begun), (200, begun + ended)]
    with serving(*answers) as (_, client, slept):
        found = [each.finished_at for each in client.events("b_1")]
    assert found == [None, None, None, datetime(2026, 1, 1)]
    assert slept == [0.5, 1, 2, 0.5]


def test_events_of_a_batch_that_there_is_not_fail_at_once() -> None:
    missing = (404, '{"error": "There is no batch b_1."}')
    with serving(missing) as (_, client, slept), pytest.raises(CallFailed, match="There is no batch"):
        list(client.events("b_1"))
    assert slept == []


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://example.com", "http://", "http://[::", ""])
def test_an_address_that_is_none_is_told_at_once(url: str) -> None:
    with pytest.raises(InvalidInput, match="http:// or https://"):
        Client(url, 7, "t")


def test_an_answer_that_is_no_json_is_told() -> None:
    with serving((200, "<html>")) as (_, client, _), pytest.raises(CallFailed, match="not with JSON"):
        client.batch("b_1")


def test_batches_come_a_page_at_a_time_as_long_as_there_is_a_next_one() -> None:
    page = json.dumps([BATCH])
    with serving((200, page), (200, page)) as (server, client, _):
        server.links.append(f'<{server.url}/7/batches?limit=1&state=running&state=paused&before=b_1>; rel="next"')
        assert [each.id for each in client.batches(states=("running", "paused"), page=1)] == ["b_1", "b_1"]
    assert [path for _, path, *_ in server.asked] == [
        "/7/batches?limit=1&state=running&state=paused",
        "/7/batches?limit=1&state=running&state=paused&before=b_1",
    ]


def test_a_later_page_is_asked_for_only_when_it_is_wanted() -> None:
    with serving((200, json.dumps([BATCH]))) as (server, client, _):
        server.links.append(f'<{server.url}/7/batches?before=b_1>; rel="next"')
        assert next(client.batches()).id == "b_1"
    assert len(server.asked) == 1


KEYED: list[Callable[[Client], object]] = [
    lambda client: client.pause("b_1", key="k"),
    lambda client: client.resume("b_1", key="k"),
    lambda client: client.cancel("b_1", key="k"),
    lambda client: client.retry("b_1", key="k"),
    lambda client: client.give_up("b_1", key="k"),
    lambda client: client.forget("b_1", key="k"),
    lambda client: client.restart("b_1", "failed", key="k"),
]


@pytest.mark.parametrize("call", KEYED)
def test_a_change_is_sent_with_its_key(call: Callable[[Client], object]) -> None:
    with serving((200, json.dumps(BATCH))) as (server, client, _):
        call(client)
    assert [key for _, _, key, _ in server.asked] == ["k"]


def test_a_restart_names_the_outcome_and_where_and_tells_whose_contacts_it_has() -> None:
    made = json.dumps({**BATCH, "restartOf": {"batch": "b_1", "outcome": "failed", "step": "mail"}})
    with serving((200, made), (200, made)) as (server, client, _):
        found = client.restart("b_1", "failed", "mail", hold=True)
        client.restart("b_1", "unknown")
    assert found.restart_of == Restart("b_1", "failed", "mail")
    assert [(path, json.loads(body)) for _, path, _, body in server.asked] == [
        ("/7/batches/b_1/restart", {"outcome": "failed", "step": "mail", "options": {"hold": True}}),
        ("/7/batches/b_1/restart", {"outcome": "unknown"}),
    ]


@pytest.mark.parametrize("change", ["pause", "resume", "cancel"])
def test_a_change_of_a_journey_tells_its_batches(change: str) -> None:
    with serving((200, '{"journey": 1, "batches": ["b_1"]}')) as (server, client, _):
        assert getattr(client, f"{change}_journey")(1, key="k") == ["b_1"]
    assert server.asked == [("POST", f"/7/journeys/1/{change}", "k", b"{}")]


def test_waiting_for_what_is_sent_ends_when_the_batch_rests() -> None:
    resting = f"data: {json.dumps({**BATCH, 'idle': True})}\n\n"
    with serving((200, _event(None) + resting + _event(None))) as (_, client, _):
        assert client.wait("b_1", "sent").idle


@pytest.mark.parametrize("around", ["{}\n", "  {}\r\n", "\n{}\n\n"])
def test_white_space_around_a_token_is_no_part_of_it(around: str) -> None:
    assert Client("http://127.0.0.1:9", 7, around.format("crv_1_secret"))


@given(st.text(min_size=1))
def test_a_token_that_is_none_is_never_printed(token: str) -> None:
    try:
        Client("http://127.0.0.1:9", 7, f"crv_hidden {token}")
    except InvalidInput as refused:
        assert "hidden" not in str(refused)
    else:
        assert not token.strip()


def test_a_hold_is_asked_for_and_its_preflight_comes_as_values(file: Path) -> None:
    sample = {"contact": "c", "to": "c@example.com", "subject": "s", "text": "t", "html": None}
    messages = {"step": "m", "noRecipient": 2, "missing": {"name": 1}, "samples": [sample]}
    branches = [{"step": "s", "to": None, "contacts": 3}]
    told = {"accepted": 3, "rejected": {}, "branches": branches, "messages": [messages]}
    with serving(OPENED, TAKEN, TAKEN, (200, json.dumps(told))) as (server, client, _):
        client.start_file(1, file, hold=True)
        client.start_url(1, "https://example.com/f", hold=True, freeze_waits=True)
        found = client.preflight("b_1", contact="a b")
    assert json.loads(server.asked[0][3])["options"] == {"hold": True}
    assert json.loads(server.asked[2][3])["options"] == {"hold": True, "freezeWaits": True}
    assert server.asked[3][1] == "/7/batches/b_1/preflight?contact=a+b"
    assert (found.accepted, found.branches, found.raw) == (3, (Branch("s", None, 3),), told)
    (each,) = found.messages
    assert (each.no_recipient, each.missing, each.looked) == (2, {"name": 1}, None)
    assert each.samples == (Sample("c", "c@example.com", "s", "t", None),)


def test_waiting_for_a_hold_ends_when_the_batch_is_held() -> None:
    held = {**BATCH, "state": "paused", "waiting": {"kind": "held"}}
    pushed = _event(None) + f"event: batch\ndata: {json.dumps(held)}\n\n"
    with serving((200, pushed, "cut")) as (_, client, _slept):
        assert client.wait("b_1", "held").held


def test_an_event_says_whether_it_is_new() -> None:
    taken = '{"taken": 0, "duplicates": 1, "refused": 0, "refusals": []}'
    at = datetime.fromisoformat("2026-05-04T09:30:00+02:00")
    with serving((200, taken)) as (server, client, _):
        assert client.event("anna", "purchase", {"total": 1}, at=at, key="k") is False
    ((method, path, _, body),) = server.asked
    assert (method, path) == ("POST", "/7/events")
    whole = {"id": "anna", "event": "purchase", "properties": {"total": 1}, "at": at.isoformat(), "key": "k"}
    assert json.loads(body) == whole


def test_many_events_are_sent_in_calls_of_ten_thousand_and_refusals_keep_their_place() -> None:
    answers = [
        json.dumps({"taken": taken, "duplicates": 0, "refused": 1, "refusals": [{"line": 2, "message": "No."}]})
        for taken in (9_999, 0)
    ]
    with serving(*((200, each) for each in answers)) as (server, client, _):
        found = client.send_events({"id": str(each), "event": "x"} for each in range(10_002))
    assert (found.taken, found.refused, found.refusals) == (9_999, 2, ((2, "No."), (10_002, "No.")))
    sent = [gzip.decompress(body).splitlines() for _, _, _, body in server.asked]
    assert [len(each) for each in sent] == [10_000, 2]


def test_the_events_of_a_contact_are_fetched_page_by_page() -> None:
    page = '[{"event": "x", "at": "2026-05-04T09:30:00Z", "properties": {"a": 1}, "source": "api"}]'
    with serving((200, page), (200, page)) as (server, client, _):
        server.links.append(f'<{server.url}/7/contacts/a%2Fb/events?limit=1&before=z>; rel="next"')
        found = list(client.contact_events("a/b", page=1))
    assert [(each.event, each.properties, each.batch) for each in found] == [("x", {"a": 1}, None)] * 2
    assert [path for _, path, _, _ in server.asked] == [
        "/7/contacts/a%2Fb/events?limit=1",
        "/7/contacts/a%2Fb/events?limit=1&before=z",
    ]
