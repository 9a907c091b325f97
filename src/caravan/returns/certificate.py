"""The certificate with which the receiver of bounces speaks TLS. Those of today last for weeks: it is read again when
its file has changed."""

import logging
import ssl
from pathlib import Path

from caravan.errors import InvalidSetting

_log = logging.getLogger(__name__)


class Certificate:
    """A certificate of a file, for connections that begin TLS. Raises `InvalidSetting` if it can't be used at first."""

    def __init__(self, cert: Path, key: Path | None) -> None:
        self._cert, self._key = cert, key or cert
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            self._seen = self._state()
            self._load()
        except (OSError, ssl.SSLError) as error:
            raise InvalidSetting(f"CARAVAN_BOUNCE_TLS_CERT can't be used: {_reason(error)}.") from None

    def context(self) -> ssl.SSLContext:
        """With the certificate as the file has it now; while that can't be read, with the one before."""
        try:
            if (state := self._state()) != self._seen:
                self._load()
                self._seen = state
        except (OSError, ssl.SSLError) as error:
            _log.warning("The certificate of the receiver of bounces can't be read anew: %s", _reason(error))
        return self._context

    def _state(self) -> list[tuple[int, int, int]]:
        found = [path.stat() for path in (self._cert, self._key)]
        return [(each.st_mtime_ns, each.st_ino, each.st_size) for each in found]

    def _load(self) -> None:
        self._context.load_cert_chain(self._cert, self._key)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"it is no certificate with its key ({error.reason or 'PEM'})"
    return f"{error.filename}: {error.strerror}"
