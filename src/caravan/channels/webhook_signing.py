"""Signatures of webhooks as Standard Webhooks 1.0 has them, and where their secrets are.

A journey names a secret and never holds it. The operator keeps it under that name for one customer, in a variable of
the environment or in a file. While it is rotated there are several, and each call bears a signature of each.
"""

import hmac
import os
import time
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from caravan.errors import InvalidSetting
from caravan.settings import WEBHOOK_SECRET

PREFIX: Final = "whsec_"
SIGNATURE_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
_SHORTEST, _LONGEST = 24, 64  # octets of a secret, by the standard
_KEPT: Final = 5.0  # seconds for which a secret is not looked up anew


@dataclass(frozen=True, slots=True)
class SecretName:
    """Which secrets a call is signed with."""

    customer: int
    name: str


class SigningSecrets:
    """The secrets of all customers, from `environment` and from the files in `folder`.

    A change is seen within seconds. Where both have a name, the environment counts.
    """

    def __init__(self, folder: Path | None, environment: Mapping[str, str] = os.environ) -> None:
        self._folder = folder
        self._environment = environment
        self._known: dict[SecretName, tuple[float, list[bytes]]] = {}

    def of(self, name: SecretName) -> list[bytes]:
        """The secrets of this name, at least one. Raises `InvalidSetting`, which never tells one."""
        now = time.monotonic()
        kept = self._known.get(name)
        if kept is None or kept[0] < now:
            kept = self._known[name] = (now + _KEPT, _decoded(name, self._text(name)))
        return kept[1]

    def _text(self, name: SecretName) -> str:
        variable = f"{WEBHOOK_SECRET}{name.customer}_{name.name.upper().replace('-', '_')}"
        if found := self._environment.get(variable, "").strip():
            return found
        if self._folder is None:
            raise InvalidSetting(f"The signing secret '{name.name}' is not there: {variable} is not set.")
        try:
            return (self._folder / str(name.customer) / name.name).read_text("ascii")
        except FileNotFoundError:
            message = f"there is neither {variable} nor the file {name.customer}/{name.name} in the folder of secrets"
        except (OSError, UnicodeDecodeError):
            message = f"the file {name.customer}/{name.name} in the folder of secrets can't be read"
        raise InvalidSetting(f"The signing secret '{name.name}' is not there: {message}.")


def _decoded(name: SecretName, text: str) -> list[bytes]:
    """The octets of each secret in `text`, which stand one after the other with blanks or commas between."""
    secrets = [_octets(each) for each in text.replace(",", " ").split()]
    if not secrets or None in secrets:
        raise InvalidSetting(
            f"The signing secret '{name.name}' of customer {name.customer} can't be used: it should be whsec_ and "
            f"{_SHORTEST} to {_LONGEST} octets in Base64."
        )
    return [each for each in secrets if each is not None]


def _octets(secret: str) -> bytes | None:
    if not secret.startswith(PREFIX):
        return None
    try:
        octets = b64decode(secret.removeprefix(PREFIX), validate=True)
    except NoBase64:
        return None
    return octets if _SHORTEST <= len(octets) <= _LONGEST else None


def signature_headers(secrets: list[bytes], key: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a call with this delivery key, made at `timestamp` (seconds since 1970)."""
    signed = f"{key}.{timestamp}.".encode() + body
    signatures = (b64encode(hmac.digest(each, signed, "sha256")).decode("ascii") for each in secrets)
    values = (key, str(timestamp), " ".join(f"v1,{each}" for each in signatures))
    return dict(zip(SIGNATURE_HEADERS, values, strict=True))
