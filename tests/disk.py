"""A small disk that tests can fill: a tmpfs in namespaces of its own, which takes no privileges."""

import os
import subprocess
from pathlib import Path

_MOUNT = 'mount -t tmpfs -o size="$1" none "$0" && echo mounted && exec cat'


class NoDisk(Exception):
    """This system lets nobody make one here."""


class SmallDisk:
    """`mib` MiB at `folder`, for processes whose command begins with `command`; the test itself looks at it from
    outside, at `seen`. It is gone after `close`, when no process has it any more."""

    def __init__(self, folder: Path, mib: int) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", _MOUNT, str(folder), f"{mib}m"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "mounted\n":
            _, said = self._holder.communicate()
            raise NoDisk(f"No small disk can be mounted here: {said.strip()}")
        self.folder, self.seen = folder, Path(f"/proc/{self._holder.pid}/root{folder}")

    @property
    def command(self) -> list[str]:
        """What a command begins with to have the disk; not as root, which PostgreSQL would refuse."""
        enter = ["nsenter", "--target", str(self._holder.pid), "--user", "--mount", "--preserve-credentials"]
        return [*enter, "unshare", "--user", "--map-user=1000", "--map-group=1000"]

    @property
    def free(self) -> int:
        """Bytes."""
        found = os.statvfs(self.seen)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Take all room but for so many bytes."""
        with (self.seen / "zeroes").open("ab", buffering=0) as file:
            while (left := self.free - leave) > 0:
                file.write(bytes(min(left, 1 << 20)))

    def clear(self) -> None:
        """Give the room back."""
        (self.seen / "zeroes").unlink()

    def freeze(self) -> None:
        """Let nobody write there any more, as the system does after errors of the device."""
        enter = ["nsenter", "--target", str(self._holder.pid), "--user", "--mount", "--preserve-credentials"]
        subprocess.run([*enter, "mount", "-o", "remount,ro", str(self.folder)], check=True)

    def close(self) -> None:
        self._holder.communicate()
