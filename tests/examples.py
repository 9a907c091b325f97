"""How many examples tests that make up their own look at, and how long those take that are to be cut off."""

import os

_LONG = os.environ.get("EXAMPLES") == "all"


def many(examples: int) -> int:
    """So many with EXAMPLES=all, and a quarter of them else: each run takes others."""
    return examples if _LONG else examples // 4


def few(seconds: float) -> float:
    """So many with EXAMPLES=all, and a quarter of them else."""
    return seconds if _LONG else seconds / 4
