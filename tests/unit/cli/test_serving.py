"""The API's process."""

import os
import socket

from caravan.cli.serving import door


def test_a_socket_that_was_handed_down_is_one_of_the_internet_still() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, door(os.dup(listening.fileno())) as handed:
        assert handed.family == socket.AF_INET
        assert handed.getsockname() == listening.getsockname()
