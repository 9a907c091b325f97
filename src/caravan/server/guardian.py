"""The process that stops the embedded PostgreSQL when its last user is gone. It imports nothing of Caravan."""

import fcntl
import os
import pwd
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

USERS = "postgres.users"  # shared by every process that uses the server
GUARDIAN = "postgres.guardian"  # held by the one guardian


@dataclass(frozen=True, slots=True)
class Control:
    """How the server is started and stopped."""

    program: str
    cluster: str
    user: str | None  # PostgreSQL refuses to run as root, so there it runs as this user

    def run(self, arguments: list[str], out: IO[str] | int = subprocess.DEVNULL) -> None:
        """Run pg_ctl. Raises `subprocess.CalledProcessError` when it fails."""
        command = [self.program, "-D", self.cluster, *arguments]
        subprocess.run(command, check=True, stdout=out, stderr=out, cwd="/", **identity(self.user))


def identity(user: str | None) -> dict[str, Any]:
    """What runs a subprocess as this user, in its own group and in none of ours; as ourselves without one."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def guard(folder: Path, control: Control) -> None:
    """Wait until no process uses the server any more, then stop it."""
    with (folder / GUARDIAN).open("a") as alone, (folder / USERS).open("a") as users:
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        fcntl.flock(users, fcntl.LOCK_EX)
        for mode in ("fast", "immediate"):  # in good order takes room on the disk
            if (Path(control.cluster) / "postmaster.pid").exists():
                with suppress(subprocess.CalledProcessError):
                    control.run(["-w", "-m", mode, "stop"])
        # In this order: a process that waits for the users' lock must find no guardian.
        fcntl.flock(alone, fcntl.LOCK_UN)


def detach() -> None:
    """Go on as a process of its own, which no signal to the parent's group or terminal reaches."""
    if os.fork():
        os._exit(0)
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    os.chdir("/")


if __name__ == "__main__":
    detach()
    guard(Path(sys.argv[1]), Control(sys.argv[2], sys.argv[3], sys.argv[4] or None))
