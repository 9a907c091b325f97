"""Where the receiver of bounces listens: what CARAVAN_BOUNCE_URL says."""

from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from caravan.errors import InvalidSetting

_PORTS: Final = {"smtp": 25, "lmtp": 24}


@dataclass(frozen=True, slots=True)
class Listening:
    """A protocol and an address."""

    is_lmtp: bool
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """Of lmtp://host:port or smtp://host:port. Raises `InvalidSetting`."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if parts.scheme not in _PORTS or not host or parts.path not in ("", "/") or parts.query or parts.username:
            raise InvalidSetting(f"CARAVAN_BOUNCE_URL should be lmtp://host:port or smtp://host:port, not {url!r}.")
        return cls(parts.scheme == "lmtp", host, port if port is not None else _PORTS[parts.scheme])
