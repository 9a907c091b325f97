"""The API's process, and what a worker is told."""

import os
import socket

import pytest

from caravan.engine.worker import CONCURRENCY
from caravan.errors import WrongUsage
from caravan.server.serving import door, queues_of


def test_a_socket_that_was_handed_down_is_one_of_the_internet_still() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, door(os.dup(listening.fileno())) as handed:
        assert handed.family == socket.AF_INET
        assert handed.getsockname() == listening.getsockname()


def test_without_options_a_worker_has_all_queues() -> None:
    assert queues_of(None, None) == dict(CONCURRENCY)


def test_queues_and_their_size_can_be_chosen() -> None:
    assert queues_of("deliver, fetch", 7) == {"deliver": 7, "fetch": 7, "paced": 7}


def test_who_moves_cohorts_gathers_singles_too() -> None:
    assert queues_of("advance", None) == {"advance": CONCURRENCY["advance"], "singles": CONCURRENCY["singles"]}


@pytest.mark.parametrize("queues", ["foo", "", "deliver,", "Deliver"])
def test_a_queue_that_there_is_not_is_wrong_usage_and_told_which_there_are(queues: str) -> None:
    with pytest.raises(WrongUsage, match="there are fetch, intake, spans, singles, advance, deliver, paced, upkeep"):
        queues_of(queues, None)
