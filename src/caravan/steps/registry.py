"""The step types that a journey file can name."""

from collections.abc import Mapping
from types import MappingProxyType

from caravan.steps.ab import AB
from caravan.steps.email import Email
from caravan.steps.exit import Exit
from caravan.steps.split import Split
from caravan.steps.step import CohortStep
from caravan.steps.wait import Wait
from caravan.steps.webhook import Webhook

STEP_TYPES: Mapping[str, type[CohortStep]] = MappingProxyType(
    {step.kind: step for step in (Email, Webhook, Wait, Split, AB, Exit)}
)
