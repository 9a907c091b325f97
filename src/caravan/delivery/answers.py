"""The two addresses at which a contact that was asked for is answered for, once: to accept and to reject.

Each is signed by itself, so whoever knows one, or the delivery key alone, which stands in headers, can't make the
other.
"""

import hmac
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from caravan.delivery.key import DeliveryKey, read_key

ANSWER: Final = "answer"  # the property of the event that bears what came with an answer
_CONTEXT: Final = b"caravan answer\0"  # so that nothing else that is signed with the same secret passes for one
_BYTES: Final = 16  # of the signature


class Answer(StrEnum):
    """What can be answered, as the address says it."""

    ACCEPT = "accept"
    REJECT = "reject"

    @property
    def event(self) -> str:
        """The event that the contact's timeline has of it."""
        return "accepted" if self is Answer.ACCEPT else "rejected"


def answer_url(public_url: str, key: str, answer: Answer, secret: bytes) -> str:
    """Where the contact of a delivery is answered for."""
    return f"{public_url.rstrip('/')}/a/{key}/{answer}/{_signature(key, answer, secret)}"


def read_answer(key: str, answer: str, signature: str, secrets: Iterable[bytes]) -> tuple[DeliveryKey, Answer] | None:
    """What such an address says; None unless it was signed with one of the secrets."""
    known = list(secrets)
    delivery = read_key(key, known)
    if delivery is None or answer not in set(Answer) or not signature.isascii():
        return None
    given = signature.lower()
    if not any(hmac.compare_digest(given, _signature(key.lower(), Answer(answer), each)) for each in known):
        return None
    return delivery, Answer(answer)


def _signature(key: str, answer: Answer, secret: bytes) -> str:
    return hmac.digest(secret, _CONTEXT + f"{key}\0{answer}".encode("ascii"), "sha256")[:_BYTES].hex()
