"""A kind of channel, as the registry has it: everything that Caravan needs to know of it."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from caravan.delivery.channel import Channel
from caravan.delivery.message_step import MessageStep
from caravan.settings import ChannelSettings, Settings

S = TypeVar("S", bound=ChannelSettings)


@dataclass(frozen=True, slots=True)
class ChannelType(Generic[S]):
    """One entry of the registry (channels/registry.py).

    `step` is what a journey file can name; `settings` are its own ones, read from the environment beside the table of
    all; `driver` makes the channel, which asks rules of its own what the replies of the other side mean.
    """

    step: type[MessageStep]
    settings: type[S]
    driver: Callable[[S, Settings], Channel[Any]]
    further: tuple[type[MessageStep], ...] = ()  # other steps whose messages go out by it

    @property
    def name(self) -> str:
        """The word that journey files have for its step."""
        return self.step.kind

    def make(self, settings: Settings) -> Channel[Any]:
        """The channel, not open yet. Raises `InvalidSetting`."""
        return self.driver(self.settings.read(), settings)


@asynccontextmanager
async def open_channels(types: Iterable[ChannelType[Any]], settings: Settings) -> AsyncIterator[Mapping[str, Any]]:
    """The channels of a worker, open: {name: channel}."""
    async with AsyncExitStack() as stack:
        yield {each.name: await stack.enter_async_context(each.make(settings)) for each in types}
