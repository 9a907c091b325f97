"""The child processes of one machine, by name, and how each is started."""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from caravan.server.forked import Process
from caravan.server.leash import Leash
from caravan.settings import Settings

Starts = Iterator[tuple[str, Callable[[], Process]]]


def child_environment(settings: Settings, workers: int) -> dict[str, str]:
    """What children are told by their environment, beyond what this process was."""
    assert settings.database_url is not None
    return {
        "CARAVAN_DATABASE_URL": settings.database_url,
        "CARAVAN_DATA": str(settings.folder),
        "CARAVAN_WORKERS": str(workers),
    }


def serve_child(leash: Leash, environment: Mapping[str, str], door: socket.socket) -> Starts:
    """The API, on a socket that is open already."""
    arguments = ["serve", "--fd", str(door.fileno())]
    yield "serve", partial(leash.start, arguments, environment, fds=(door.fileno(),))


def worker_children(leash: Leash, environment: Mapping[str, str], count: int, options: Sequence[str] = ()) -> Starts:
    """So many workers, numbered from 1; `options` say which queues they serve."""
    for number in range(1, count + 1):
        arguments = ["worker", "--number", str(number), *options]
        yield f"worker {number}", partial(leash.start, arguments, environment)


def bounces_child(leash: Leash, environment: Mapping[str, str], settings: Settings) -> Starts:
    """The receiver of bounces, where the settings say that there is one."""
    if settings.bounce_url is not None:
        yield "bounces", partial(leash.start, ["bounces"], environment)
