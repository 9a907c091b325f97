"""One HTTP call as an attempt to send a message: how far it came when something went wrong."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import ClientConnectorCertificateError, ClientConnectorDNSError, ClientError, InvalidURL

from caravan.addresses import was_refused
from caravan.channels.http_calls import NoAnswer
from caravan.delivery.result import Result, SendResult
from caravan.errors import AddressRefused


@dataclass(slots=True)
class UnderWay:
    """Whether a call has begun to go out."""

    on_data: Callable[[], None] | None
    written: bool = False

    def begin(self) -> None:
        """Called just before its first octet goes out."""
        if self.on_data is not None:
            self.on_data()
        self.written = True


def trouble(error: ClientError | OSError, under_way: UnderWay, timeout: float, whom: str) -> SendResult:
    """What a failed call of `whom` ("The webhook") means: unknown once it was written, for the other side may have
    acted on it. `timeout` is in seconds."""
    if was_refused(error):
        return SendResult(Result.FAILED, AddressRefused().message)
    late = isinstance(error, TimeoutError)
    if under_way.written and isinstance(error, NoAnswer):
        return SendResult(
            Result.UNKNOWN, "The request was sent, but the answer is not valid HTTP, or its head too long."
        )
    if under_way.written:
        why = f"no answer came for {timeout:g} seconds" if late else "the connection was lost"
        return SendResult(Result.UNKNOWN, f"The request was sent, then {why}.")
    match error:
        case InvalidURL():
            return SendResult(Result.FAILED, f"{whom}'s address can't be used.")
        case ClientConnectorDNSError():
            why = "its host name was not found"
        case ClientConnectorCertificateError():
            why = "its TLS certificate is not valid"
        case _:
            why = "its host did not answer" if late else "its host refused the connection or broke it off"
    return SendResult(Result.UNREACHABLE, f"{whom} was not called: {why}.")
