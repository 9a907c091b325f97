"""The email channel as workers have it: the relay of CARAVAN_SMTP_URL or the sandbox, and named relays beside it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from caravan.channels.email import EmailChannel
from caravan.channels.mail import Mail
from caravan.channels.mx import Directory
from caravan.delivery.channel import Channel
from caravan.delivery.result import SendResult
from caravan.errors import InvalidInput, InvalidSetting
from caravan.store.relays import NamedRelay

DEFAULT: Final = "default"  # what the relay of CARAVAN_SMTP_URL is called
_LONGEST_URL: Final = 4096

Open = Callable[[str, str], EmailChannel]  # of a URL, and what the relay is called
Wrap = Callable[[Channel[Mail]], Channel[Mail]]


class Relays:
    """Hands mails to the default place, or to a named relay (`via`)."""

    def __init__(
        self, default: Channel[Mail], open_: Open, wrap: Wrap, directory: Directory, *, is_sandbox: bool
    ) -> None:
        """`open_` makes the channel of a relay, and `wrap` what stands before each channel, like the signing of
        mails."""
        self._default, self._open, self._wrap = wrap(default), open_, wrap
        self.directory, self.is_sandbox = directory, is_sandbox
        self._named: dict[str, tuple[str, EmailChannel]] = {}
        self._replaced: list[EmailChannel] = []

    async def __aenter__(self) -> Self:
        await self._default.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.directory.close()
        await self._default.__aexit__(kind, error, trace)
        for channel in [*self._replaced, *(channel for _, channel in self._named.values())]:
            await channel.close()

    async def send(self, mail: Mail, on_data: Callable[[], None] | None = None) -> SendResult:
        """Attempt once, by the default place. See `Channel.send`."""
        return await self._default.send(mail, on_data)

    def via(self, relay: NamedRelay | None) -> Channel[Mail]:
        """The channel by a relay, the default place for None. Its URL is read anew each time, so that a new password is
        used. Raises `InvalidSetting`, which never tells the URL."""
        if relay is None:
            return self._default
        url = url_of(relay)
        before = self._named.get(relay.key)
        if before is None or before[0] != url:
            if before is not None:
                self._replaced.append(before[1])  # mails may be under way on it; it is idle soon
            self._named[relay.key] = (url, self._open(url, relay.key))
        return self._wrap(self._named[relay.key][1])


def url_of(relay: NamedRelay, environment: Mapping[str, str] = os.environ) -> str:
    """The URL of a relay, from where it is kept. Raises `InvalidSetting`, which never tells it."""
    kind, _, place = relay.url_from.partition(":")
    if kind == "env":
        if not (found := environment.get(place, "").strip()):
            raise InvalidSetting(f"Relay {relay.name} has no URL here: the environment has no {place}.")
        return found
    try:
        with Path(place).open(encoding="utf-8") as file:
            return file.read(_LONGEST_URL).strip()
    except (OSError, UnicodeDecodeError):
        raise InvalidSetting(f"Relay {relay.name} has no URL here: its file can't be read by this worker.") from None


def check_url_from(text: str) -> str:
    """Where a URL is kept, as it may be said: env:NAME or file:/path. Raises `InvalidInput`, without the text, which
    may be the URL itself."""
    kind, _, place = text.partition(":")
    if kind == "env" and place.replace("_", "a").isalnum() and place.isascii() and len(place) <= 200:
        return text
    if kind == "file" and place.startswith("/") and place.isprintable() and len(place) <= 1000:
        return text
    raise InvalidInput("--url-from is where the URL is kept: env:NAME for a variable, or file:/path; never the URL.")
