"""The channels that there are, and with them all step types that a journey file can name.

A further channel is one file in this folder, with its settings, its rules for replies, its driver and its step, and
one entry here.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from caravan.channels.email_step import EMAIL
from caravan.channels.sms.step import SMS
from caravan.channels.webhook_step import WEBHOOK
from caravan.delivery.channel_type import ChannelType
from caravan.steps.registry import STEPS
from caravan.steps.step import CohortStep

CHANNELS: tuple[ChannelType[Any], ...] = (EMAIL, SMS, WEBHOOK)


def step_types(channels: Iterable[ChannelType[Any]]) -> Mapping[str, type[CohortStep]]:
    """The step types that a journey file can name where these channels are: {word: type}."""
    steps: list[type[CohortStep]] = [step for channel in channels for step in (channel.step, *channel.further)]
    steps += STEPS
    return MappingProxyType({step.kind: step for step in steps})


STEP_TYPES = step_types(CHANNELS)
