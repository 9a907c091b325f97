"""An operator is told once that a relay is away, and once that it is back."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

import pytest

from caravan.channels.watched import WatchedChannel
from caravan.delivery.result import Result, SendResult


class Scripted:
    """A channel that answers as it is told, one message after the other."""

    def __init__(self, deliveries: Iterable[SendResult]) -> None:
        self._deliveries = iter(deliveries)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send(self, message: str, on_data: Callable[[], None] | None = None) -> SendResult:
        return next(self._deliveries)


SENT = SendResult(Result.SENT, "250 OK")
BUSY = SendResult(Result.RETRY, "451 4.7.1 later")
AWAY = SendResult(Result.UNREACHABLE, "Connection refused by mail.example.com:25.")


async def test_each_change_is_told_once_by_the_first_of_several_processes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    marker, changes = tmp_path / "relay.away", list[bool]()
    one = WatchedChannel(Scripted([SENT, AWAY, AWAY, BUSY, AWAY, SENT]), "The relay", marker, changes.append)
    two = WatchedChannel(Scripted([AWAY, SENT]), "The relay", marker)
    with caplog.at_level(logging.INFO):
        async with one, two:
            await one.send("a")
            assert not caplog.messages
            await one.send("a")
            await two.send("b")  # it notices too, and says nothing
            await one.send("a")
            assert len(caplog.messages) == 1
            assert "is away: Connection refused by mail.example.com:25. Its contacts wait" in caplog.messages[0]
            await one.send("a")
            await two.send("b")
            assert len(caplog.messages) == 2
            assert "is back after" in caplog.messages[1]
            for _ in range(2):
                await one.send("a")
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 4
    assert changes == [True, False, True, False]
    assert not marker.exists()


async def test_a_folder_that_is_gone_keeps_nobody_from_being_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with WatchedChannel(Scripted([AWAY, SENT]), "The relay", tmp_path / "gone" / "x") as channel:
        await channel.send("a")
        assert (await channel.send("a")).result is Result.SENT
    assert "is away" in caplog.messages[0]
