"""Keeps the embedded PostgreSQL of a data folder running."""

from pathlib import Path

from caravan.errors import Unavailable
from caravan.server.supervisor import RestartBackoff, say


class PostgresKeeper:
    """Starts the embedded PostgreSQL again if it was killed, or has ended because its disk is full."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._backoff, self._told = folder, RestartBackoff(), ""

    def look(self) -> None:
        """Start it if it is not there and it is time."""
        from caravan.server.embedded import lives, revive

        if lives(self._folder) or not self._backoff.is_time():
            return
        if not self._told:
            self._tell("PostgreSQL ended; it starts again")
        try:
            revive(self._folder)
        except Unavailable as error:
            self._tell(f"{error.message} It is tried again and again.")
        else:
            self._tell("PostgreSQL is there again")
            self._told = ""

    def _tell(self, sentence: str) -> None:
        """Once: it may have to wait for days."""
        if sentence != self._told:
            self._told = sentence
            say(sentence)
