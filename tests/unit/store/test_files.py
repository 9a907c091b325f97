"""What every store of files promises, held to each of them; and what only a remote one has to."""

import ast
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

import caravan
from caravan.errors import InvalidSetting, Unavailable
from caravan.queue import transient
from caravan.store import bucket, s3_session
from caravan.store.files import Draft, Files, LocalFiles, RemoteFiles, open_files
from caravan.store.inbox import Inbox
from caravan.store.process_locks import OwnFolder, clear_dead
from tests.disk import SmallDisk
from tests.s3 import CREDENTIALS, S3, Silent

Standing = tuple[Silent, RemoteFiles]


@pytest.fixture(params=["local", "s3"])
def files(request: pytest.FixtureRequest, folder: Path) -> Iterator[Files]:
    if request.param == "local":
        store: Files = open_files(None, folder)
    else:
        store = request.getfixturevalue("remote")
    yield store
    store.close()


@pytest.fixture
def place(s3: S3) -> str:
    return s3.bucket()


@pytest.fixture
def remote(s3: S3, place: str, folder: Path) -> Iterator[RemoteFiles]:
    store = open_files(f"s3://{place}/some/prefix", folder, endpoint=s3.endpoint)
    assert isinstance(store, RemoteFiles)
    yield store
    store.close()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> int:
    """Files in many parts without many bytes: a store takes no parts under 5 MiB, but for the last."""
    monkeypatch.setattr(bucket, "PIECE", 5 << 20)
    return 5 << 20


def put(files: Files, name: str, content: bytes, tmp_path: Path) -> None:
    local = tmp_path / f"outgoing-{threading.get_ident()}"
    local.write_bytes(content)
    files.put(local, name)
    assert not local.exists()


def get(files: Files, name: str) -> bytes:
    with files.local(name) as path:
        return path.read_bytes()


def test_what_a_draft_put_stays_unless_its_block_fails(files: Files, tmp_path: Path) -> None:
    put(files, "batches/b_1/before", b"1", tmp_path)
    with Draft(files) as draft:
        _put_draft(draft, "batches/b_1/kept", tmp_path)
    with pytest.raises(OSError, match="No space left"), Draft(files) as draft:
        _put_draft(draft, "batches/b_1/dropped", tmp_path)
        raise OSError(28, "No space left on device")
    assert files.names("batches/b_1") == ["batches/b_1/before", "batches/b_1/kept"]


def test_what_a_commit_may_have_named_is_kept_whatever_becomes_of_its_answer(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path / "store")
    with pytest.raises(ConnectionError), Draft(files) as draft:
        _put_draft(draft, "batches/b/1", tmp_path)
        draft.keep()
        raise ConnectionError("the answer to the commit is lost")
    assert files.names("batches/b") == ["batches/b/1"]


def test_a_block_of_a_draft_that_commits_keeps_its_files_before_that() -> None:
    source, found = Path(caravan.__file__).parent, []
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.With) and any("Draft(" in ast.unparse(each) for each in node.items):
                block = "\n".join(map(ast.unparse, node.body))
                if ".transaction()" in block:
                    found.append((path.name, ".keep()" in block))
    assert sorted(found) == [("erasure.py", True), ("matching.py", True)]


def _put_draft(draft: Draft, name: str, tmp_path: Path) -> None:
    (tmp_path / "outgoing").write_bytes(b"2")
    draft.put(tmp_path / "outgoing", name)


def test_of_a_file_that_a_full_disk_does_not_take_whole_nothing_is_left(
    disk: Callable[[int], SmallDisk], tmp_path: Path
) -> None:
    full, local = disk(1), tmp_path / "outgoing"
    files = LocalFiles(full.seen / "files")
    local.write_bytes(bytes(200_000))
    full.fill(leave=100_000)
    with pytest.raises(OSError, match="No space left on device"):
        files.put(local, "batches/b_1/large")
    assert not files.names("batches")
    assert local.stat().st_size == 200_000


def test_a_draft_asks_a_store_that_is_away_for_nothing_more(
    remote: RemoteFiles, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    with pytest.raises(InterruptedError), s3.in_mood(methods=("DELETE",)) as mood, Draft(remote) as draft:
        for number in range(3):
            _put_draft(draft, f"batches/b_1/{number}", tmp_path)
        mood.errors = 1000
        raise InterruptedError
    asked = [each for each in mood.asked if each.startswith("DELETE")]
    assert len(asked) == bucket._TRIES
    assert len(set(asked)) == 1


def test_a_folder_on_a_disk_that_takes_no_change_is_not_said_to_be_deleted(
    disk: Callable[[int], SmallDisk], tmp_path: Path
) -> None:
    frozen = disk(1)
    files = LocalFiles(frozen.seen / "files")
    put(files, "batches/b_1/a", b"x", tmp_path)
    frozen.freeze()
    with pytest.raises(OSError, match="Read-only file system"):
        files.delete_folder("batches/b_1")
    assert files.names("batches") == ["batches/b_1/a"]


class TestAFolderThatOthersUseWhileItIsDeleted:
    @pytest.fixture
    def files(self, folder: Path, tmp_path: Path) -> LocalFiles:
        files = LocalFiles(folder)
        for name in ("a", "b", "deep/c"):
            put(files, f"batches/b_1/{name}", b"x", tmp_path)
        return files

    def test_is_deleted_with_a_file_that_came_late(
        self, files: LocalFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        late = iter([folder / "batches/b_1/late"])
        before(monkeypatch, "rmdir", lambda: [each.touch() for each in late])
        files.delete_folder("batches/b_1")
        assert not (folder / "batches/b_1").exists()

    def test_is_deleted_if_others_delete_it_too(
        self, files: LocalFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs = iter([folder / "batches/b_1"])
        before(monkeypatch, "unlink", lambda: [shutil.rmtree(each) for each in theirs])
        files.delete_folder("batches/b_1")
        assert not (folder / "batches/b_1").exists()

    def test_is_not_said_to_be_deleted_if_files_never_cease_to_come(
        self, files: LocalFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before(monkeypatch, "rmdir", lambda: (folder / "batches/b_1/again").touch())
        with pytest.raises(OSError, match="Directory not empty"):
            files.delete_folder("batches/b_1")


class TestEveryStore:
    def test_gives_back_what_was_put(self, files: Files, tmp_path: Path) -> None:
        put(files, "batches/b_1/ä file.parquet", b"content", tmp_path)
        assert get(files, "batches/b_1/ä file.parquet") == b"content"

    def test_keeps_an_empty_file(self, files: Files, tmp_path: Path) -> None:
        put(files, "batches/b_1/empty", b"", tmp_path)
        assert get(files, "batches/b_1/empty") == b""

    def test_keeps_a_file_of_many_parts(self, files: Files, tmp_path: Path, small_pieces: int) -> None:
        content = os.urandom(6 * small_pieces + 7)
        put(files, "batches/b_1/large", content, tmp_path)
        assert get(files, "batches/b_1/large") == content

    def test_keeps_a_file_that_ends_with_a_part(self, files: Files, tmp_path: Path, small_pieces: int) -> None:
        for parts in (1, 2, 5):
            content = os.urandom(parts * small_pieces)
            put(files, "batches/b_1/even", content, tmp_path)
            assert get(files, "batches/b_1/even") == content

    def test_gives_any_section_of_a_file(self, files: Files, tmp_path: Path, small_pieces: int) -> None:
        content = os.urandom(2 * small_pieces + 7)
        put(files, "batches/b_1/large", content, tmp_path)
        end = len(content)
        for start, stop in ((0, 3), (2, small_pieces + 2), (5, end), (small_pieces, 2 * small_pieces), (9, end + 9)):
            assert files.read("batches/b_1/large", start, stop) == content[start:stop]
            with files.section("batches/b_1/large", start, stop) as section:
                held = section.path.read_bytes()
                assert held[start - section.at :][: stop - start] == content[start:stop]

    def test_says_that_there_is_no_file_to_give_a_section_of(self, files: Files) -> None:
        with pytest.raises(FileNotFoundError):
            files.read("batches/b_1/none", 0, 1)
        with pytest.raises(FileNotFoundError), files.section("batches/b_1/none", 0, 1):
            pass

    def test_replaces_what_was_there(self, files: Files, tmp_path: Path) -> None:
        put(files, "batches/b_1/file", b"first", tmp_path)
        assert get(files, "batches/b_1/file") == b"first"
        put(files, "batches/b_1/file", b"second", tmp_path)
        assert get(files, "batches/b_1/file") == b"second"

    def test_says_that_a_file_is_not_there(self, files: Files) -> None:
        with pytest.raises(FileNotFoundError), files.local("batches/b_1/none"):
            pass

    def test_finds_a_file_that_was_missing_a_moment_ago(self, files: Files, tmp_path: Path) -> None:
        assert files.names("batches/b_1") == []
        with pytest.raises(FileNotFoundError):
            get(files, "batches/b_1/file")
        put(files, "batches/b_1/file", b"here", tmp_path)
        assert get(files, "batches/b_1/file") == b"here"
        assert files.names("batches/b_1") == ["batches/b_1/file"]

    def test_lists_the_names_below_a_folder_and_of_no_other(self, files: Files, tmp_path: Path) -> None:
        for name in ("batches/b_1/b", "batches/b_1/a", "batches/b_1/deep/c", "batches/b_12/d"):
            put(files, name, b"x", tmp_path)
        assert files.names("batches/b_1") == ["batches/b_1/a", "batches/b_1/b", "batches/b_1/deep/c"]
        assert files.names("batches/none") == []

    def test_deletes_a_file_and_does_not_mind_if_there_is_none(self, files: Files, tmp_path: Path) -> None:
        put(files, "batches/b_1/a", b"x", tmp_path)
        put(files, "batches/b_1/b", b"x", tmp_path)
        files.delete("batches/b_1/a")
        files.delete("batches/b_1/a")
        assert files.names("batches/b_1") == ["batches/b_1/b"]

    def test_deletes_a_folder_and_no_other(self, files: Files, tmp_path: Path) -> None:
        for name in ("batches/b_1/a", "batches/b_1/deep/b", "batches/b_12/c"):
            put(files, name, b"x", tmp_path)
        files.delete_folder("batches/b_1")
        files.delete_folder("batches/b_1")
        assert files.names("batches") == ["batches/b_12/c"]

    def test_serves_many_threads_at_once(self, files: Files, tmp_path: Path) -> None:
        def there_and_back(number: int) -> bytes:
            put(files, f"batches/b_1/{number}", b"%d" % number, tmp_path)
            return get(files, f"batches/b_1/{number}")

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(there_and_back, range(40))) == [b"%d" % number for number in range(40)]


class TestARemoteStore:
    def test_stops_getting_a_file_that_nobody_wants_any_more(
        self, remote: RemoteFiles, tmp_path: Path, small_pieces: int
    ) -> None:
        put(remote, "batches/b_1/large", os.urandom(3 * small_pieces), tmp_path)

        def nobody_wants_it() -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError), remote.local("batches/b_1/large", nobody_wants_it):
            pass

    def test_keeps_to_its_prefix(self, remote: RemoteFiles, s3: S3, place: str, tmp_path: Path) -> None:
        put(remote, "batches/b_1/a", b"x", tmp_path)
        assert s3.keys(place) == ["some/prefix/batches/b_1/a"]

    def test_leaves_nothing_on_this_machine(self, remote: RemoteFiles, folder: Path, tmp_path: Path) -> None:
        put(remote, "batches/b_1/a", b"x", tmp_path)
        with remote.local("batches/b_1/a") as path:
            assert path.is_relative_to(folder)
        assert not path.parent.exists()

    @pytest.mark.parametrize("status", [500, 503])
    def test_is_asked_again_when_it_is_in_trouble_for_a_moment(
        self, remote: RemoteFiles, s3: S3, tmp_path: Path, status: int
    ) -> None:
        with s3.in_mood(errors=1, status=status):
            put(remote, "batches/b_1/a", b"x", tmp_path)
        with s3.in_mood(errors=1, status=status):
            assert get(remote, "batches/b_1/a") == b"x"

    def test_that_is_in_trouble_for_longer_is_unavailable(
        self, remote: RemoteFiles, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        impatient(monkeypatch)
        with s3.in_mood(errors=1000) as mood:
            for ask in asking(remote, tmp_path):
                before = len(mood.asked)
                with pytest.raises(Unavailable, match="we are in trouble") as raised:
                    ask()
                assert transient.is_transient(raised.value)
                assert 2 <= len(mood.asked) - before <= 5

    def test_that_nobody_answers_for_is_unavailable(
        self, s3: S3, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        impatient(monkeypatch)
        away = RemoteFiles("s3://any", folder, "http://127.0.0.1:9")
        for ask in asking(away, tmp_path):
            with pytest.raises(Unavailable, match="s3://any"):
                ask()
        away.close()

    def test_without_its_bucket_is_unavailable_and_no_file_counts_as_missing(
        self, s3: S3, folder: Path, tmp_path: Path
    ) -> None:
        astray = RemoteFiles("s3://no-such-bucket", folder, s3.endpoint)
        for ask in asking(astray, tmp_path):
            with pytest.raises(Unavailable, match="bucket"):
                ask()
        astray.close()

    def test_whose_answer_breaks_off_is_asked_for_the_rest_again(
        self, remote: RemoteFiles, s3: S3, tmp_path: Path, small_pieces: int
    ) -> None:
        content = os.urandom(3 * small_pieces)
        put(remote, "batches/b_1/large", content, tmp_path)
        with s3.in_mood(cuts=2) as mood:
            assert get(remote, "batches/b_1/large") == content
        assert mood.cuts == 0

    def test_whose_answers_always_break_off_is_unavailable(self, remote: RemoteFiles, s3: S3, tmp_path: Path) -> None:
        put(remote, "batches/b_1/a", b"some content", tmp_path)
        with s3.in_mood(cuts=1000), pytest.raises(Unavailable):
            get(remote, "batches/b_1/a")

    def test_keeps_no_part_of_a_file_that_could_not_be_put(
        self,
        remote: RemoteFiles,
        s3: S3,
        place: str,
        tmp_path: Path,
        small_pieces: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        impatient(monkeypatch)
        local = tmp_path / "large"
        local.write_bytes(bytes(3 * small_pieces))
        with s3.in_mood(errors=1000, methods=("PUT",)), pytest.raises(Unavailable):
            remote.put(local, "batches/b_1/large")
        assert local.exists()
        assert remote.names("batches") == []
        assert not s3.client.list_multipart_uploads(Bucket=place).get("Uploads")

    def test_lists_more_than_a_page(
        self, remote: RemoteFiles, s3: S3, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bucket, "_PAGE", 3)
        names = [f"batches/b_1/{number:04}" for number in range(10)]
        for name in names:
            s3.client.put_object(Bucket=place, Key=f"some/prefix/{name}", Body=b"")
        assert remote.names("batches/b_1") == names

    def test_that_minds_if_there_is_nothing_to_delete_is_not_minded(self, remote: RemoteFiles, s3: S3) -> None:
        with s3.in_mood(errors=1, status=404, code="NoSuchKey") as mood:
            remote.delete("batches/b_1/none")
        assert mood.errors == 0

    def test_fails_loudly_if_a_file_of_a_folder_can_not_be_deleted(
        self, remote: RemoteFiles, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        impatient(monkeypatch)
        put(remote, "batches/b_1/a", b"x", tmp_path)
        with s3.in_mood(errors=1000, methods=("DELETE", "POST")), pytest.raises(Unavailable):
            remote.delete_folder("batches/b_1")

    def test_removes_what_a_killed_process_left_and_nothing_of_one_that_lives(
        self, remote: RemoteFiles, s3: S3, folder: Path, tmp_path: Path
    ) -> None:
        downloads = folder / "downloads"
        other = RemoteFiles("s3://any", downloads, s3.endpoint)
        put(remote, "batches/b_1/a", b"x", tmp_path)
        with remote.local("batches/b_1/a") as path:
            dead = OwnFolder(downloads)
            dead.path.mkdir()
            (dead.path / "download").write_bytes(b"left")
            dead._file.close()  # what the kernel does when a process ends
            clear_dead(downloads)
            assert path.exists()
            assert not dead.path.exists()
        other.close()
        remote.close()
        assert list(downloads.iterdir()) == []


class TestAStoreThatStandsStill:
    @pytest.fixture
    def silent(self, s3: S3, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Standing]]:
        """Makes one that says so much to each request, and what asks it with no patience."""
        impatient(monkeypatch)
        monkeypatch.setattr(bucket, "_SILENCE", 0.2)
        monkeypatch.setattr(s3_session, "_ANSWER", 0.4)
        with ExitStack() as stack:

            def make(word: bytes = b"") -> Standing:
                server = Silent(word)
                stack.callback(server.close)
                files = RemoteFiles("s3://any", folder, server.endpoint)
                stack.callback(files.close)
                return server, files

            yield make

    def test_is_unavailable_after_as_many_tries_as_one_that_is_away(
        self, silent: Callable[..., Standing], tmp_path: Path
    ) -> None:
        server, files = silent()
        for ask in asking(files, tmp_path):
            before = len(server.taken)
            with pytest.raises(Unavailable):
                ask()
            assert len(server.taken) - before == bucket._TRIES

    def test_is_given_up_where_it_takes_a_part_of_a_file(
        self, silent: Callable[..., Standing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3_session, "_SLOWEST", 1 << 30)
        server, files = silent(b"HTTP/1.1 100 Continue\r\n\r\n")
        local = tmp_path / "outgoing"
        local.write_bytes(bytes(24 << 20))  # more than the system keeps for a receiver that is late
        with pytest.raises(Unavailable, match="timeout"):
            files.put(local, "batches/b_1/large")
        assert len(server.taken) == bucket._TRIES
        assert local.exists()

    def test_in_the_middle_of_an_answer_is_asked_again(self, silent: Callable[..., Standing]) -> None:
        server, files = silent(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\n\r\nhalf")
        with pytest.raises(Unavailable):
            files.read("batches/b_1/a", 0, 10)
        assert len(server.taken) == bucket._BROKEN_READS

    def test_has_the_more_time_to_take_a_file_the_larger_it_is(
        self, s3: S3, remote: RemoteFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        impatient(monkeypatch)
        monkeypatch.setattr(s3_session, "_ANSWER", 0.1)
        monkeypatch.setattr(s3_session, "_SLOWEST", 1_000)
        with s3.in_mood(pause=0.4):
            put(remote, "batches/b_1/large", bytes(10_000), tmp_path)
            with pytest.raises(Unavailable):
                put(remote, "batches/b_1/small", b"x", tmp_path)

    def test_has_the_time_it_needs_to_copy_a_file(
        self, s3: S3, remote: RemoteFiles, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put_at(remote.inbox.url("b_1", 60), b"content")
        (arrival,) = remote.inbox.arrivals()
        monkeypatch.setattr(s3_session, "_ANSWER", 0.1)
        with s3.in_mood(pause=0.4):
            assert remote.inbox.take(arrival, "batches/b_1/upload")


class TestAnInbox:
    @pytest.fixture
    def inbox(self, remote: RemoteFiles) -> Inbox:
        return remote.inbox

    def test_gives_what_was_put_for_a_batch_and_takes_it_away(self, inbox: Inbox, remote: RemoteFiles) -> None:
        assert inbox.arrivals() == []
        put_at(inbox.url("b_1", 60), b"content")
        (arrival,) = inbox.arrivals()
        assert (arrival.batch, arrival.bytes) == ("b_1", 7)
        assert inbox.arrival("b_1") == arrival
        assert inbox.arrival("b_12") is None
        assert inbox.take(arrival, "batches/b_1/upload")
        inbox.drop("b_1")
        inbox.drop("b_1")
        assert inbox.arrivals() == []
        assert get(remote, "batches/b_1/upload") == b"content"

    def test_takes_only_what_it_was_shown(self, inbox: Inbox, remote: RemoteFiles) -> None:
        put_at(inbox.url("b_1", 60), b"first")
        (arrival,) = inbox.arrivals()
        put_at(inbox.url("b_1", 60), b"second")
        assert not inbox.take(arrival, "batches/b_1/upload")
        inbox.drop("b_1")
        assert not inbox.take(arrival, "batches/b_1/upload")
        assert remote.names("batches") == []

    def test_takes_what_is_too_large_to_copy_at_once(
        self, inbox: Inbox, remote: RemoteFiles, small_pieces: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bucket, "_LARGEST_COPY", small_pieces)
        monkeypatch.setattr(bucket, "_COPIED_PART", small_pieces)
        content = os.urandom(2 * small_pieces + 7)
        put_at(inbox.url("b_1", 60), content)
        (arrival,) = inbox.arrivals()
        assert inbox.take(arrival, "batches/b_1/upload")
        assert get(remote, "batches/b_1/upload") == content

    def test_that_could_not_copy_all_leaves_no_part(
        self, inbox: Inbox, s3: S3, place: str, small_pieces: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        impatient(monkeypatch)
        monkeypatch.setattr(bucket, "_LARGEST_COPY", small_pieces)
        put_at(inbox.url("b_1", 60), bytes(small_pieces + 7))
        (arrival,) = inbox.arrivals()
        with s3.in_mood(errors=1000, methods=("PUT",)), pytest.raises(Unavailable):
            inbox.take(arrival, "batches/b_1/upload")
        assert not s3.client.list_multipart_uploads(Bucket=place).get("Uploads")

    def test_without_credentials_is_unavailable(self, s3: S3, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in CREDENTIALS:
            if "KEY" in name:
                monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(folder))
        anonymous = RemoteFiles("s3://any", folder, s3.endpoint)
        with pytest.raises(Unavailable, match="credentials"):
            anonymous.inbox.url("b_1", 60)
        anonymous.close()


def put_at(url: str, content: bytes) -> None:
    assert httpx.put(url, content=content, headers={"Content-Type": "text/plain"}).status_code == 200


def before(monkeypatch: pytest.MonkeyPatch, call: str, happens: Callable[[], object]) -> None:
    """Let something happen before each such call to the system."""
    real = getattr(os, call)

    def late(*arguments: Any, **named: Any) -> None:
        happens()
        real(*arguments, **named)

    monkeypatch.setattr(os, call, late)


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass between two tries."""
    from botocore.retries.standard import ExponentialBackoff

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0.0)


def asking(files: RemoteFiles, tmp_path: Path) -> list:  # type: ignore[type-arg]
    """All that one can ask of a store."""
    local = tmp_path / "outgoing"
    local.write_bytes(b"x")
    return [
        lambda: files.put(local, "batches/b_1/a"),
        lambda: get(files, "batches/b_1/a"),
        lambda: files.names("batches"),
        lambda: files.delete("batches/b_1/a"),
        lambda: files.delete_folder("batches"),
    ]


def test_a_url_says_where_the_files_are(folder: Path, tmp_path: Path) -> None:
    for url in (None, str(tmp_path), f"file://{tmp_path}"):
        store = open_files(url, folder)
        assert isinstance(store, LocalFiles)
        assert store.root == (tmp_path if url else folder / "files")


@pytest.mark.parametrize("url", ["gopher://somewhere", "s3://", "s3:///"])
def test_a_url_that_leads_nowhere_is_refused(url: str, folder: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"s3://bucket/prefix"):
        open_files(url, folder)
