"""The one clock. Waits, expiry and lateness ask it, so that tests can turn it."""

from datetime import UTC, datetime, timedelta


class Clock:
    """The time of the machine, always in UTC."""

    def now(self) -> datetime:
        """The present moment, timezone-aware, in UTC."""
        return datetime.now(UTC)

    def to_machine(self, moment: datetime) -> datetime:
        """When the machine's own clock will show what this clock shows at `moment`."""
        return moment


class TurnedClock(Clock):
    """A clock that a test turns forward; between turns it runs like the machine's."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def turn(self, by: timedelta) -> None:
        """Let `by` pass at once."""
        self.ahead += by

    def now(self) -> datetime:
        return super().now() + self.ahead

    def to_machine(self, moment: datetime) -> datetime:
        return moment - self.ahead
