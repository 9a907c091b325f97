"""How many examples tests that make up their own look at."""

import os

_LONG = os.environ.get("EXAMPLES") == "all"


def many(examples: int) -> int:
    """So many with EXAMPLES=all, and a quarter of them else: each run takes others."""
    return examples if _LONG else examples // 4
