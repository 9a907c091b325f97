"""How a line of the log looks: as text or as a JSON object, with what it belongs to and without secrets.

Lines come from `logging`, those of libraries as well. What they belong to (a request, a batch, a cohort, a customer) is
bound by structlog's context variables where a call or a job begins.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from structlog.contextvars import merge_contextvars
from structlog.processors import JSONRenderer, format_exc_info
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, WrappedLogger

from caravan.masking import Masker

_OURS: Final = frozenset({"timestamp", "level", "logger", "pid"})  # none of which is anything's words
_LAST: Final = ("stack_info", "exception")  # of several lines
_NOT_BOUND: Final = frozenset({"event", "_record", "_from_structlog", *_LAST})
_FIXED: Final = frozenset({*_OURS, "message", *_LAST})
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BARE: Final = re.compile(r"[^\s\"=]+")  # what needs no quotes


def formatter(masker: Masker, *, as_json: bool, alone: bool = False) -> ProcessorFormatter:
    """Formats records of any logger; `alone`: as text, the message is all of the line."""
    render = JSONRenderer(json.dumps, sort_keys=False) if as_json else _message_alone if alone else _as_text

    def masked(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {name: value if name in _OURS else masker.value(value, name) for name, value in event.items()}

    return ProcessorFormatter(
        foreign_pre_chain=[merge_contextvars, format_exc_info],
        processors=[_described, masked, render],
    )


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes to stderr, or another stream. A record that can't be formatted is told of without its arguments, which may
    be secrets."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Handler`: a filter that formats the message may be the first to find that it can't be."""
        try:
            return bool(super().filter(record))
        except Exception:
            self.handleError(record)
            return False

    def handleError(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`, which would print the arguments as they are."""
        error, where = sys.exc_info()[0], (record.filename, record.lineno)
        words = "A line of %s:%d could not be written: %s"
        arguments = (*where, error.__name__ if error else "?")
        instead = logging.LogRecord(record.name, logging.ERROR, record.pathname, record.lineno, words, arguments, None)
        with suppress(OSError, ValueError):  # its disk is full, or it is closed
            self.stream.write(self.format(instead) + self.terminator)
            self.flush()


def _described(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """What each line has: when, how bad, from where, by which process, and what."""
    record: logging.LogRecord = event["_record"]
    return {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": event["event"],
        **{name: event[name] for name in sorted(event) if name not in _NOT_BOUND},
        "pid": record.process,
        **{name: event[name] for name in _LAST if event.get(name)},
    }


def _message_alone(_: WrappedLogger, __: str, event: EventDict) -> str:
    return _on_one_line(event["message"])


def _as_text(_: WrappedLogger, __: str, event: EventDict) -> str:
    """`2026-11-25T23:16:39.123Z WARNING caravan.x: message [batch=b_1 cohort=7]`, then a traceback, if there is one."""
    source = f"{event['timestamp']} {event['level'].upper()} {event['logger']}"
    line = f"{source}: {_on_one_line(event['message'])}{_belongs(event)}"
    return "\n".join([line, *(str(event[name]) for name in _LAST if name in event)])


def _belongs(event: Mapping[str, Any]) -> str:
    """What a line belongs to, in brackets."""
    bound = {name: value for name, value in event.items() if name not in _FIXED}
    return f" [{' '.join(f'{name}={_spelled(value)}' for name, value in bound.items())}]" if bound else ""


def _spelled(value: object) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) and not _CONTROL.search(text) else json.dumps(text)


def _on_one_line(text: str) -> str:
    """With control characters escaped: what a client sent must not make up lines of the log, nor steer a terminal."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
