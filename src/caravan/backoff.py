"""How long to wait before something that failed is tried again: the one formula for all that waits ever longer."""

import random
from dataclasses import dataclass

_STEPS = 64  # after so many the delay no longer grows; keeps the power a float


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff: `first` seconds, then `factor` times as long each time, but never more than `longest`.

    `jitter` is the share of a delay that is left to chance: 0 none, 0.5 between half and all of it, 1 anything up to
    it ("full jitter"). It only ever shortens, so that also those at the limit part company.
    """

    first: float
    factor: float
    longest: float
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not (self.first >= 0 and self.factor >= 1 and self.longest >= 0 and 0 <= self.jitter <= 1):
            raise ValueError(f"{self} has first or longest below 0, factor below 1, or jitter outside 0 to 1.")

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row; none before the first one."""
        if failures < 1:
            return 0.0
        grown = min(self.first * self.factor ** min(failures - 1, _STEPS), self.longest)
        return grown * (1 - self.jitter * random.random())
