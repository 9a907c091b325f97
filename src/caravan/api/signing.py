"""What is signed so that it can be trusted when it comes back, by keys that can be replaced."""

import hashlib
import hmac
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from itsdangerous import BadData, URLSafeSerializer


class Signer:
    """Signs with the first of its keys; what any of them has signed is good."""

    def __init__(self, keys: Sequence[str], salt: str) -> None:
        digest = {"digest_method": hashlib.sha256}
        self._serializers = [URLSafeSerializer(key, salt=salt, signer_kwargs=digest) for key in keys]

    def sign(self, value: Any) -> str:
        """A token that holds a JSON value: letters, digits and `-_.`."""
        return str(self._serializers[0].dumps(value))

    def read(self, token: str) -> Any:
        """The value of a token. Raises `BadData` unless it is one that was signed, letter by letter: Base64 leaves bits
        unused, so that another last letter can mean the same."""
        for serializer in self._serializers:
            with suppress(BadData):
                value = serializer.loads(token)
                if hmac.compare_digest(str(serializer.dumps(value)).encode(), token.encode()):
                    return value
        raise BadData(token)
