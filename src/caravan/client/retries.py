"""How long, and in what pauses, somebody waits for a server that is away."""

from collections.abc import Callable

_FIRST, _LONGEST = 0.5, 10.0  # seconds of a pause
Sleep = Callable[[float], None]


class RetryPolicy:
    """Pauses that double, of so many seconds in all."""

    def __init__(self, seconds: float, sleep: Sleep) -> None:
        self._left, self._sleep = seconds, sleep
        self._pause = _FIRST

    def wait(self) -> bool:
        """Pause; False, and at once, if there is no patience left."""
        pause = min(self._pause, self._left)
        if pause <= 0:
            return False
        self._left -= pause
        self._pause = min(2 * self._pause, _LONGEST)
        self._sleep(pause)
        return True
