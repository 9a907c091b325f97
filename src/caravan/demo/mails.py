"""What the demo's sandbox received."""

import email
import email.policy
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mail:
    """One received mail; `at` is in seconds since the epoch."""

    recipient: str
    message_id: str
    text: str
    at: float


def read_all(folder: Path) -> list[Mail]:
    """All mails in the sandbox's folder."""
    return [_read(path) for path in sorted(folder.glob("*.eml"))]


def _read(path: Path) -> Mail:
    text = path.read_text(encoding="utf-8", errors="replace")
    parsed = email.message_from_string(text.partition("\n\n")[0], policy=email.policy.compat32)
    return Mail(str(parsed["Delivered-To"]), str(parsed["Message-ID"]), text, path.stat().st_mtime)


def check(expected: Counter[str], received: list[Mail]) -> list[str]:
    """What is wrong with the mails, in sentences."""
    got = Counter(mail.recipient for mail in received)
    problems = []
    if missing := expected - got:
        problems.append(f"{missing.total()} mails are missing, the first for {next(iter(missing))}")
    if extra := got - expected:
        problems.append(f"{extra.total()} mails are too many, the first for {next(iter(extra))}")
    if len({mail.message_id for mail in received}) != len(received):
        problems.append("a Message-ID came twice")
    return problems
