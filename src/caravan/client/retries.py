"""How long, and in what pauses, a client waits for a server that is away."""

from collections.abc import Callable

from caravan.backoff import Backoff

_BACKOFF = Backoff(first=0.5, factor=2.0, longest=10.0)
Sleep = Callable[[float], None]


class RetryPolicy:
    """Pauses with backoff, of so many seconds in all."""

    def __init__(self, seconds: float, sleep: Sleep) -> None:
        self._left, self._sleep = seconds, sleep
        self._failures = 0

    def wait(self) -> bool:
        """Pause; False, and at once, if the time is used up."""
        self._failures += 1
        pause = min(_BACKOFF.delay(self._failures), self._left)
        if pause <= 0:
            return False
        self._left -= pause
        self._sleep(pause)
        return True
