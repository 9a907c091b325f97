"""What the name of an event looks like."""

import re

#: The channels' own names are `delivered`, `bounced`, `complained`, `opened`, `clicked`, `replied` and `unsubscribed`.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def check_name(value: str) -> str:
    """The name itself. Raises ValueError where it can't be one."""
    if NAME.fullmatch(value) is None:
        raise ValueError(f"'{value}' is no name of an event: a letter, then up to 63 letters, digits, _ . or -")
    return value
