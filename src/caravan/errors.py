"""Every error that Caravan raises on purpose. The first line of a class is its message when none is given.

CaravanError
├── InvalidInput            what the caller sent can't be used; the message says what to do
│   ├── InvalidDefinition   a journey file, with every problem and its line
│   ├── InvalidSetting
│   └── WrongUsage          a command was called in a way that it doesn't know
├── Unauthorized
│   └── SignInRefused       an unknown user or a wrong password, it is not said which
├── TooManyAttempts         to sign in; the next one has to wait
├── TooOften                something that is bounded in time, like test messages
├── Forbidden
├── NotFound
├── Conflict
├── Gone
├── TooLarge
├── UnsupportedType
├── TooSlow                 what was being sent to us stood still
├── FileFailed              a whole file of contacts can't be read; fails its batch
├── RenderFailed            a placeholder can't be filled for one contact
│   └── NoRecipient         its message has no usable recipient
│       └── UnsupportedRecipient  it has one that its channel does not reach
├── AddressRefused          an address that must not be connected to
└── Unavailable             something that Caravan stands on does not answer
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class CaravanError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])

    @property
    def message(self) -> str:
        """One sentence for people."""
        return str(self.args[0])


class InvalidInput(CaravanError):
    """The request can't be understood."""


class InvalidSetting(InvalidInput):
    """A setting has a value that can't be used."""


class WrongUsage(InvalidInput):
    """This command can't be called so; see its --help."""


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """One thing that is wrong in a journey file, or, as a warning, one that is allowed and hardly meant."""

    line: int  # 1-based; 0 where the problem has no place
    where: str  # like "steps[2].email.to" or "vip_offer"; may be empty
    message: str

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.where}: {self.message}" if self.where else f"{place}{self.message}"

    def to_json(self) -> dict[str, str | int]:
        """For programs: `{"line", "where", "message"}`."""
        return {"line": self.line, "where": self.where, "message": self.message}


class InvalidDefinition(InvalidInput):
    """The journey can't be used as it is written."""

    def __init__(self, problems: list[Problem], warnings: Sequence[Problem] = ()) -> None:
        self.problems = sorted(problems)
        self.warnings = sorted(warnings)
        count = len(self.problems)
        intro = "1 problem" if count == 1 else f"{count} problems"
        super().__init__(f"The journey has {intro}: " + "; ".join(map(str, self.problems)))


class Unauthorized(CaravanError):
    """A valid token of this customer is needed: send X-Carma-Authentication-Token or Authorization: Bearer."""


class SignInRefused(Unauthorized):
    """No user has this e-mail address and this password."""


class TooManyAttempts(CaravanError):
    """There were too many attempts to sign in."""

    def __init__(self, after: float) -> None:
        self.after = after  # seconds from now
        seconds = math.ceil(after)
        wait = "a second" if seconds <= 1 else f"{seconds} seconds"
        super().__init__(f"There were too many attempts to sign in; try again in {wait}.")


class TooOften(CaravanError):
    """This was done too often; try again later."""


class Forbidden(CaravanError):
    """This is not allowed."""


class NotFound(CaravanError):
    """There is no such thing here."""


class Conflict(CaravanError):
    """This contradicts what happened before."""


class Gone(CaravanError):
    """This is no longer available."""


class TooLarge(CaravanError):
    """This is larger than allowed."""


class UnsupportedType(CaravanError):
    """This type of content can't be read."""


class TooSlow(CaravanError):
    """This comes too slowly; send it again."""


class FileFailure(StrEnum):
    """Why a whole file of contacts can't be used."""

    JSON_ARRAY = "json_array"
    EMPTY = "empty"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    DOWNLOAD_FAILED = "download_failed"
    TOO_MANY_REJECTS = "too_many_rejects"


class FileFailed(CaravanError):
    """The file of contacts can't be used."""

    def __init__(self, code: FileFailure, message: str) -> None:
        self.code = code
        super().__init__(message)


class RenderFailed(CaravanError):
    """A placeholder can't be filled."""


class NoRecipient(RenderFailed):
    """There is no usable recipient for one contact's message."""


class UnsupportedRecipient(NoRecipient):
    """One contact's recipient can't be reached on this channel."""


class AddressRefused(CaravanError):
    """This address is not public, so it is not connected to."""


class Unavailable(CaravanError):
    """Something that Caravan stands on does not answer."""
